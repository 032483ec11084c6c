#include "hone/eval/objective.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/core/process.h"
#include "hone/eval/answer.h"
#include "hone/eval/objective_score.h"
#include "hone/infer/generate.h"
#include "hone/infer/log_likelihood.h"
#include "hone/model/cost.h"
#include "hone/model/decoder.h"
#include "hone/text/chat_template.h"
#include "hone/text/chat_tools.h"

namespace hone::eval {
namespace {

bool is_text(Metric metric) {
  return metric >= Metric::kExactMatch && metric <= Metric::kRougeLsum;
}
bool is_rouge(Metric metric) { return metric >= Metric::kRouge1 && metric <= Metric::kRougeLsum; }
bool from_evaluation(Metric metric) { return metric <= Metric::kLoss; }

/// A question must not lose its tools on the way through the template.
void check_tools(const data::GenerationRow& row, const text::ChatTemplate& chat,
                 const Json& variables) {
  const text::ToolParts used = text::used_tools(row.messages, row.tools);
  if (!used.any()) return;
  const text::ToolParts lost = text::lost_tools(used, text::shown_tools(chat, variables));
  if (!lost.any()) return;
  throw Error("the row at line " + std::to_string(row.line) + " has tools, but " +
              chat.source_name() + " does not show their " + text::describe(lost) +
              "; write them into the rows' messages as text, as training does with tool_form");
}

/// Ids of the prompt as training reads it: text with the tokenizer's own beginning, conversations
/// through the template up to where the answer starts.
std::vector<int64_t> prompt_ids(const data::GenerationRow& row, const text::TokenizerFolder& text,
                                const std::optional<text::ChatTemplate>& chat) {
  if (!row.messages.is_null()) {
    if (!chat) {
      throw Error(
          "the rows are conversations, but the tokenizer has no chat template; give rows "
          "with a prompt of text");
    }
    text::ChatInput input{.messages = row.messages, .tools = row.tools};
    input.add_generation_prompt = true;
    input.variables = text.chat_variables();
    check_tools(row, *chat, input.variables);
    return text.tokenizer.encode_ids(chat->render(input), false);
  }
  std::vector<int64_t> ids = text.tokenizer.encode_ids(row.prompt, true);
  if (text.add_eos && !ids.empty() && ids.back() == text.eos_id) ids.pop_back();
  return ids;
}

/// Milliseconds a token; see ObjectiveMeter::model_value.
double latency(const TrainedTrial& trial) {
  constexpr int64_t kTokens = 32;
  constexpr int kRuns = 5;
  using Clock = std::chrono::steady_clock;
  const int64_t vocabulary = trial.text.tokenizer.vocab_size();
  std::vector<int64_t> prompt;
  for (int64_t i = 0; i < kTokens; ++i) prompt.push_back((i * 7919 + 11) % vocabulary);
  const std::vector<std::vector<int64_t>> prompts{prompt};
  infer::SamplingOptions sampling{.max_new_tokens = kTokens};
  sampling.stop_ids.emplace();
  std::vector<double> runs;
  for (int i = 0; i <= kRuns; ++i) {  // the first warms up
    const auto begin = Clock::now();
    infer::generate(trial.decoder, trial.text.tokenizer, prompts, sampling);
    runs.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  std::sort(runs.begin() + 1, runs.end());
  return runs[1 + kRuns / 2] / static_cast<double>(kTokens);
}

template <class Row>
void keep_first(std::vector<Row>& rows, int64_t most) {
  if (most > 0 && rows.size() > static_cast<size_t>(most)) rows.resize(most);
}

}  // namespace

void ObjectiveOptions::validate(Validation& v) const {
  const std::string with = "with metric " + enum_name(metric);
  const bool rows = is_text(metric) || metric == Metric::kAccuracy;
  if (!from_evaluation(metric)) v.no_effect("domains", with);
  if (rows && !file) v.problem("file", "is needed " + with);
  if (!rows) {
    v.no_effect("file", with);
    v.no_effect("max_rows", with);
  }
  if (!is_text(metric)) {
    for (const char* key : {"generation", "after", "extract"}) v.no_effect(key, with);
  }
  if (after && after->empty()) v.problem("after", "must not be empty; leave it out");
  try {
    eval::AnswerReader(after, extract);
  } catch (const Error& error) {
    v.problem("extract", error.what());
  }
  if (metric != Metric::kBleu) v.no_effect("bleu", with);
  if (metric != Metric::kChrf) v.no_effect("chrf", with);
  if (metric != Metric::kExactMatch && metric != Metric::kTokenF1) v.no_effect("answers", with);
  if (!is_rouge(metric)) v.no_effect("rouge_stemmer", with);
  if (metric != Metric::kAccuracy) v.no_effect("length_normalised", with);
  if (metric == Metric::kCommand) {
    if (!command) v.problem("command", "is needed " + with);
    if (!direction) v.problem("direction", "is needed " + with);
  } else {
    v.no_effect("command", with);
    v.no_effect("timeout_seconds", with);
  }
}

tune::Direction direction_of(const ObjectiveOptions& options) {
  if (options.direction) return *options.direction;
  const bool more = options.metric == Metric::kAccuracy || is_text(options.metric);
  return more ? tune::Direction::kMaximize : tune::Direction::kMinimize;
}

std::optional<double> evaluation_value(const ObjectiveOptions& options,
                                       const train::Evaluation& evaluation) {
  if (!from_evaluation(options.metric)) return std::nullopt;
  double nll = 0, tokens = 0;
  for (const train::Score& score : evaluation.scores) {
    const auto& wanted = options.domains;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), score.domain) == wanted.end()) {
      continue;
    }
    nll += score.nll;
    tokens += static_cast<double>(score.base_tokens);
  }
  if (!(tokens > 0)) throw Error("the objective's domains have no held-out data");
  return options.metric == Metric::kLoss ? nll / tokens : std::exp(nll / tokens);
}

ObjectiveMeter::ObjectiveMeter(ObjectiveOptions options) : options_(std::move(options)) {
  if (is_text(options_.metric)) texts_ = data::read_generation_rows(*options_.file);
  if (options_.metric == Metric::kAccuracy) choices_ = data::read_choice_rows(*options_.file);
  keep_first(texts_, options_.max_rows);
  keep_first(choices_, options_.max_rows);
}

std::string ObjectiveMeter::precision() const {
  const size_t rows = std::max(texts_.size(), choices_.size());
  if (rows == 0) return "";
  const std::string text = fmt::format("{} over {} rows: ", enum_name(options_.metric), rows);
  if (options_.metric == Metric::kBleu || options_.metric == Metric::kChrf) {
    return text + "each trial comes with its standard error";
  }
  // Of values in [0, 1] none spread wider than half zeros and half ones.
  return text + fmt::format("standard error at most {:.2g}", 0.5 / std::sqrt(rows));
}

std::optional<Measurement> ObjectiveMeter::model_value(const TrainedTrial& trial) const {
  if (is_text(options_.metric)) return text_value(trial);
  if (options_.metric == Metric::kAccuracy) return accuracy(trial);
  if (options_.metric == Metric::kLatency) return Measurement{latency(trial), {}};
  if (options_.metric == Metric::kParameters) {
    const int64_t parameters = model::Cost(trial.decoder).parameters();
    return Measurement{static_cast<double>(parameters), {}};
  }
  return std::nullopt;
}

Measurement ObjectiveMeter::text_value(const TrainedTrial& trial) const {
  const text::TokenizerFolder& text = trial.text;
  std::optional<text::ChatTemplate> chat;
  if (text.chat_template) chat.emplace(*text.chat_template, text.chat_template_source);
  std::vector<std::vector<int64_t>> prompts;
  eval::References references;
  for (const data::GenerationRow& row : texts_) {
    prompts.push_back(prompt_ids(row, text, chat));
    references.push_back(row.references);
  }
  infer::SamplingOptions sampling = options_.generation;
  if (!sampling.stop_ids) {
    sampling.stop_ids = text.eos_id ? std::vector<int64_t>{*text.eos_id} : std::vector<int64_t>{};
  }
  const eval::AnswerReader reader(options_.after, options_.extract);
  eval::Hypotheses texts;
  size_t without = 0;
  for (infer::Generated& generated :
       infer::generate(trial.decoder, text.tokenizer, prompts, sampling)) {
    if (options_.after || options_.extract) {
      std::optional<std::string> answer = reader.read(generated.text);
      without += !answer.has_value();
      texts.push_back(std::move(answer).value_or(""));
      continue;
    }
    const size_t begin = generated.text.find_first_not_of(" \n\t");
    texts.push_back(begin == std::string::npos ? "" : generated.text.substr(begin));
  }
  if (without > 0) {
    log_info(
        fmt::format("{}: {} of {} texts have no answer by after and extract, and score as "
                    "empty ones",
                    enum_name(options_.metric), without, texts.size()));
  }
  return text_score(options_, texts, references);
}

Measurement ObjectiveMeter::accuracy(const TrainedTrial& trial) const {
  const text::TokenizerFolder& text = trial.text;
  std::vector<int64_t> prefix;
  if (text.bos_id) prefix.push_back(*text.bos_id);
  std::vector<infer::Continuation> requests;
  for (const data::ChoiceRow& row : choices_) {
    for (const std::string& choice : row.choices) {
      requests.push_back(
          infer::encode_continuation(text.tokenizer, row.prompt, " " + choice, prefix));
    }
  }
  const auto likelihoods = infer::log_likelihood(trial.decoder, requests);
  size_t next = 0;
  std::vector<double> right;
  for (const data::ChoiceRow& row : choices_) {
    size_t best = 0;
    double highest = -INFINITY;
    for (size_t i = 0; i < row.choices.size(); ++i) {
      double value = likelihoods[next++].sum;
      if (options_.length_normalised) value /= static_cast<double>(row.choices[i].size());
      if (value > highest) {
        highest = value;
        best = i;
      }
    }
    right.push_back(best == row.answer);
  }
  return mean_of(right);
}

std::optional<double> ObjectiveMeter::command_value(const std::string& model_folder,
                                                    const std::function<bool()>& stop) const {
  const ProcessResult result = run_process({"sh", "-c", *options_.command, "sh", model_folder},
                                           {.seconds = options_.timeout_seconds, .stop = stop});
  if (result.end == ProcessResult::End::kStopped) return std::nullopt;
  const std::string last = result.output.substr(result.output.find_last_of('\n') + 1);
  const std::string shown = last.substr(0, 200);
  const std::string said = result.error.empty() ? "" : "; it says: " + result.error;
  if (result.end == ProcessResult::End::kTimedOut) {
    throw Error(fmt::format("the objective's command took longer than {} s (timeout_seconds): {}{}",
                            options_.timeout_seconds, shown, said));
  }
  if (result.status != 0) {
    const int code = WEXITSTATUS(result.status);
    throw Error(fmt::format("the objective's command failed ({}): {}{}",
                            WIFEXITED(result.status) ? fmt::format("exit code {}", code)
                                                     : describe_status(result.status),
                            shown, said));
  }
  char* end = nullptr;
  const double value = std::strtod(last.c_str(), &end);
  if (last.empty() || *end != '\0') {
    throw Error("the objective's command must print a number on its last line, got \"" + shown +
                "\"" + said);
  }
  if (!said.empty()) log_info("the objective's command" + said.substr(1));
  return value;
}

}  // namespace hone::eval
