#include "hone/paths/chat.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <istream>
#include <ostream>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/json.h"
#include "hone/infer/generate.h"
#include "hone/infer/speaker.h"
#include "hone/infer/text_stream.h"
#include "hone/machine/device.h"
#include "hone/machine/stop_signal.h"
#include "hone/run/model_folder.h"

namespace hone::paths {
namespace {

/// Prompts of a file that are answered before their answers are written.
constexpr size_t kAtOnce = 32;

text::TokenizerFolder open_text(const ChatOptions& options, const run::ModelFolders& folders) {
  text::TokenizerFolder text = run::open_tokenizer(folders);
  if (options.chat_template_kwargs) {
    text.set_chat_template_kwargs(
        parse_json(*options.chat_template_kwargs, "--chat-template-kwargs"));
  }
  return text;
}

class Chat {
 public:
  Chat(const ChatOptions& options, const ChatStreams& streams)
      : options_(options),
        streams_(streams),
        device_(machine::prepare_device(options.device, options.threads,
                                        static_cast<uint64_t>(options.seed))),
        folders_(run::ModelFolders::find(options.model, options.base)),
        speaker_(open_text(options, folders_), infer::eos_ids(folders_.model)),
        model_(run::open_model(folders_, device_.device, device_.weights)) {
    const int64_t ids = speaker_.text().tokenizer.vocab_size();
    if (ids > model_.decoder->config().vocab_size) {
      throw Error(fmt::format("{}: the tokenizer has ids up to {}, but the embedding only {} rows",
                              speaker_.text().tokenizer.source(), ids - 1,
                              model_.decoder->config().vocab_size));
    }
    if (!speaker_.has_template()) {
      streams_.err << "the folder has no chat template: the model goes on with your text"
                   << std::endl;
      if (options.system) throw Error("--system needs a chat template, which the folder has not");
    }
  }

  /// One answer, and nothing kept.
  int answer_prompt() {
    infer::Kept kept(model_.decoder);
    const Json messages = infer::one_turn(*options_.prompt, options_.system);
    infer::TextStream text(speaker_.text().tokenizer);
    infer::GenerateOptions options{.kept = &kept};
    options.on_token = [&](size_t, int64_t id) {
      streams_.out << text.add(id) << std::flush;
      return true;
    };
    run({speaker_.ids(messages)}, options, 0);
    streams_.out << text.finish() << std::endl;
    return 0;
  }

  int converse();
  int answer_file();

 private:
  std::vector<infer::Generated> run(const std::vector<std::vector<int64_t>>& prompts,
                                    const infer::GenerateOptions& options, int64_t number) {
    const infer::SamplingOptions sampling{.max_new_tokens = options_.max_new_tokens,
                                          .temperature = options_.temperature,
                                          .top_p = options_.top_p,
                                          .stop_ids = speaker_.stop_ids(),
                                          .seed = options_.seed + number};
    return infer::generate(model_.decoder, speaker_.text().tokenizer, prompts, sampling, options);
  }

  /// Streams the answer to `messages` and appends it. The signal that ended it, or 0.
  int answer_turn(Json& messages, infer::Kept& kept, int64_t turn);
  std::vector<Json> read_prompts() const;

  const ChatOptions& options_;
  const ChatStreams& streams_;
  const machine::DevicePlan device_;
  const run::ModelFolders folders_;
  infer::Speaker speaker_;
  run::OpenModel model_;
};

int Chat::answer_turn(Json& messages, infer::Kept& kept, int64_t turn) {
  const std::vector<int64_t> prompt = speaker_.ids(messages);
  infer::TextStream text(speaker_.text().tokenizer);
  std::string answer;
  const auto show = [&](const std::string& part) {
    streams_.out << part << std::flush;
    answer += part;
  };
  const machine::StopSignal stop;
  infer::GenerateOptions options{.kept = &kept};
  options.on_token = [&](size_t, int64_t id) {
    show(text.add(id));
    return machine::StopSignal::received() == 0;
  };
  run({prompt}, options, turn);
  show(text.finish());
  streams_.out << std::endl;
  messages.push_back({{"role", "assistant"}, {"content", answer}});
  return machine::StopSignal::received();
}

int Chat::converse() {
  const Json beginning = options_.system
                             ? Json::array({{{"role", "system"}, {"content", *options_.system}}})
                             : Json::array();
  Json messages = beginning;
  infer::Kept kept(model_.decoder);
  std::string line;
  for (int64_t turn = 0;;) {
    if (streams_.terminal) streams_.out << "> " << std::flush;
    if (!std::getline(streams_.in, line)) break;
    if (line == "/new") messages = beginning;
    if (line.empty() || line == "/new") continue;
    if (!speaker_.has_template()) messages = beginning;  // each line is a text of its own
    messages.push_back({{"role", "user"}, {"content", line}});
    const size_t before = messages.size() - 1;
    try {
      const int signal = answer_turn(messages, kept, turn++);
      if (signal == SIGTERM) return machine::signal_exit_code(SIGTERM);
    } catch (const Error& error) {
      messages.erase(messages.begin() + static_cast<ptrdiff_t>(before), messages.end());
      streams_.err << error.what() << (before > beginning.size() ? " (/new begins anew)" : "")
                   << std::endl;
    }
  }
  if (streams_.terminal) streams_.out << std::endl;
  return 0;
}

/// A row of a file of prompts.
Json read_row(const std::string& line, bool plain) {
  if (plain) return {{"prompt", line}};
  Json row = parse_json(line, "row");
  const bool one = row.is_object() && (row.contains("prompt") != row.contains("messages"));
  if (!one) throw Error("expected an object with either \"prompt\" or \"messages\"");
  if (row.contains("prompt") && !row["prompt"].is_string()) {
    throw Error("\"prompt\" must be a string");
  }
  return row;
}

std::vector<Json> Chat::read_prompts() const {
  const std::string& path = *options_.prompts;
  const bool plain = path.ends_with(".txt");
  if (!plain && !path.ends_with(".jsonl")) {
    throw IoError(path, "expected a file that ends in .jsonl or .txt");
  }
  std::vector<Json> rows;
  const std::string text = read_file(path, size_t{1} << 30);
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    try {
      rows.push_back(read_row(line, plain));
    } catch (const Error& error) {
      throw DataError(path, number, error.what());
    }
  }
  if (rows.empty()) throw IoError(path, "holds no prompt");
  return rows;
}

int Chat::answer_file() {
  const std::vector<Json> rows = read_prompts();
  std::vector<std::vector<int64_t>> prompts;
  for (const Json& row : rows) {
    prompts.push_back(speaker_.ids(
        row.contains("messages")
            ? row["messages"]
            : infer::one_turn(row["prompt"].get_ref<const std::string&>(), options_.system)));
  }
  std::ofstream file;
  if (options_.out) {
    file.open(*options_.out, std::ios::trunc);
    if (!file) throw IoError(*options_.out, "cannot be written");
  }
  std::ostream& out = options_.out ? file : streams_.out;
  for (size_t begin = 0; begin < rows.size(); begin += kAtOnce) {
    const size_t end = std::min(begin + kAtOnce, rows.size());
    const auto answers = run({prompts.begin() + static_cast<ptrdiff_t>(begin),
                              prompts.begin() + static_cast<ptrdiff_t>(end)},
                             {}, static_cast<int64_t>(begin));
    for (size_t i = begin; i < end; ++i) {
      const infer::Generated& answer = answers[i - begin];
      Json row = rows[i];
      row["answer"] = answer.text;
      row["finish"] = enum_name(answer.finish);
      row["prompt_tokens"] = answer.prompt_tokens;
      row["answer_tokens"] = answer.ids.size();
      out << row.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
    }
    if (!out.flush()) throw IoError(options_.out.value_or("standard output"), "cannot be written");
    streams_.err << fmt::format("{} of {} prompts answered", end, rows.size()) << std::endl;
  }
  return 0;
}

}  // namespace

void ChatOptions::validate(Validation& v) const {
  if (prompt && prompts) v.problem("prompts", "give either one prompt or a file of them");
  if (!prompts) v.no_effect("out", "without prompts");
  if (temperature == 0) {
    for (const char* key : {"top_p", "seed"}) {
      v.no_effect(key, "with temperature 0, which always takes the likeliest token");
    }
  }
}

int chat(const ChatOptions& options, const ChatStreams& streams) {
  Chat chat(options, streams);
  if (options.prompt) return chat.answer_prompt();
  return options.prompts ? chat.answer_file() : chat.converse();
}

}  // namespace hone::paths
