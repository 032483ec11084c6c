#include "hone/run/prompt_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "hone/core/log.h"
#include "hone/core/utf8.h"
#include "hone/infer/generate.h"
#include "hone/io/json_lines.h"
#include "hone/model/cost.h"

namespace hone::run {
namespace {

/// On one line, cut for a log.
std::string shown(const std::string& text) {
  constexpr size_t kMost = 160;
  return shortened(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace), kMost);
}

std::vector<std::vector<int64_t>> prompt_ids(const PromptOptions& options,
                                             const infer::Speaker& speaker) {
  std::vector<std::vector<int64_t>> prompts;
  for (const std::string& text : options.texts) {
    prompts.push_back(speaker.ids(infer::one_turn(text, options.system)));
  }
  return prompts;
}

}  // namespace

PromptAnswers::PromptAnswers(const PromptOptions& options, std::string run_folder)
    : options_(options), run_folder_(std::move(run_folder)) {}

void PromptAnswers::ask(model::Decoder& decoder, const text::TokenizerFolder& text,
                        const std::vector<int64_t>& stop_ids, int64_t step) {
  if (!any()) return;
  const infer::Speaker speaker(text, stop_ids);
  const infer::SamplingOptions sampling{.max_new_tokens = options_.max_new_tokens,
                                        .stop_ids = speaker.stop_ids()};
  const auto answers =
      infer::generate(decoder, text.tokenizer, prompt_ids(options_, speaker), sampling);
  io::JsonLines lines(path());
  lines.rewind(step - 1);
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::string &prompt = options_.texts[i], &answer = answers[i].text;
    log_info(fmt::format("step {}: {} -> {}", step, shown(prompt), shown(answer)));
    lines.write({{"step", step},
                 {"prompt", prompt},
                 {"answer", answer},
                 {"finish", enum_name(answers[i].finish)}});
  }
}

Json PromptAnswers::report() const {
  if (!any() || !std::filesystem::exists(path())) return nullptr;
  const std::vector<Json> rows = io::read_json_lines(path());
  if (rows.empty()) return nullptr;
  const auto asked = static_cast<ptrdiff_t>(options_.texts.size());
  Json table = Json::array();
  for (ptrdiff_t i = 0; i < std::min(asked, std::ssize(rows)); ++i) {
    const Json& last =
        rows[static_cast<size_t>(std::ssize(rows) >= asked ? std::ssize(rows) - asked + i : i)];
    const Json& first = rows[static_cast<size_t>(i)];
    table.push_back({{"prompt", first.at("prompt")},
                     {"before", first.at("answer")},
                     {"after", last.at("answer")},
                     {"step", last.at("step")}});
  }
  return table;
}

int64_t prompt_bytes(const PromptOptions& options, const model::DecoderConfig& config,
                     const text::TokenizerFolder& text, at::ScalarType weights) {
  if (options.texts.empty()) return 0;
  int64_t longest = 0;
  for (const auto& ids : prompt_ids(options, infer::Speaker(text, {}))) {
    longest = std::max(longest, std::ssize(ids));
  }
  const int64_t rows =
      std::min(infer::GenerateOptions{}.max_batch, static_cast<int64_t>(options.texts.size()));
  return model::Cost(config).cache_bytes(weights, rows, longest + options.max_new_tokens);
}

}  // namespace hone::run
