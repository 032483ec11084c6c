/// hone-chat: talks with a model in a terminal, or answers prompts.
///
///   hone-chat runs/medical                      turn by turn; Ctrl-C ends an answer, Ctrl-D leaves
///   hone-chat runs/medical --prompt "Hello"     one answer on standard output
///   hone-chat runs/medical --prompts questions.jsonl --out answers.jsonl
#include <unistd.h>

#include <iostream>

#include "hone/config/flags.h"
#include "hone/paths/chat.h"

int main(int argc, char** argv) {
  return hone::config::run_flag_app<hone::paths::ChatOptions>(
      argc, argv,
      {.name = "hone-chat",
       .summary = "Talks with a model: a checkpoint, an adapter over its base, or a run of hone."},
      "model", [](const hone::paths::ChatOptions& options) {
        return hone::paths::chat(options, {std::cin, std::cout, std::cerr, isatty(0) != 0});
      });
}
