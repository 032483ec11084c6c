/// Talking to a model in a terminal, and answering prompts of a file.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

#include "hone/core/field.h"
#include "hone/run/config.h"

namespace hone::paths {

/// The flags of hone-chat.
struct ChatOptions {
  std::string model;
  std::optional<std::string> base, prompt, prompts, out, system, chat_template_kwargs;
  int64_t max_new_tokens = 512;
  double temperature = 0;
  double top_p = 1;
  int64_t seed = 0;
  machine::DeviceChoice device = machine::DeviceChoice::kAuto;
  int64_t threads = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("model", self.model,
      "Folder of a model: a checkpoint, an adapter, or a run of hone. May stand without the flag.",
      Required{});
    v("base", self.base, "Base of an adapter, if not the one that it names.");
    v("prompt", self.prompt, "Answer this one prompt on standard output, and leave.");
    v("prompts", self.prompts,
      "Answer a file's prompts as JSONL, and leave: .jsonl rows {\"prompt\"} or {\"messages\"}, or "
      ".txt with one a line.");
    v("out", self.out, "File of those answers; standard output when absent.");
    v("system", self.system, "System turn of the conversation; needs a chat template.");
    v("chat_template_kwargs", self.chat_template_kwargs,
      "Variables of the chat template as JSON, e.g. {\"thinking\": true}.");
    v("max_new_tokens", self.max_new_tokens, "Tokens of an answer at most.", Range{1, 1e9});
    v("temperature", self.temperature,
      "Divides the logits before sampling; 0 takes the likeliest token.", Range{0, 1e4});
    v("top_p", self.top_p,
      "Samples among the fewest tokens whose probabilities reach this sum; 1 among all.",
      Range{0, 1});
    v("seed", self.seed, "Of sampling.", Range{0, 9e15});
    v("device", self.device, "Where to run: auto takes a CUDA device if there is one, cpu, cuda.");
    v("threads", self.threads, "CPU threads; 0 takes every core.", Range{0, 4096});
  }
  void validate(Validation& v) const;
};

/// Where a conversation takes place. `err` gets what is no answer.
struct ChatStreams {
  std::istream& in;
  std::ostream &out, &err;
  bool terminal = false;  ///< whether `in` is one: then a mark shows that it is the user's turn
};

/// Answers --prompt or --prompts, or else each line of `in`, turn by turn, until it ends. Each
/// answer is streamed in whole characters; the keys and values of earlier turns are kept. SIGINT
/// ends the answer, not the conversation. The line "/new" begins another.
/// Returns the exit code. Throws: ConfigError, IoError, Error.
int chat(const ChatOptions& options, const ChatStreams& streams);

}  // namespace hone::paths
