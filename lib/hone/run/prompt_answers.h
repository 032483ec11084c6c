/// What a model says to a recipe's prompts while it trains.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/infer/speaker.h"
#include "hone/run/config.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::model {
class Decoder;
struct DecoderConfig;
}  // namespace hone::model

namespace hone::run {

/// Asks at evaluations. Answers are the likeliest tokens: no generator is drawn from, so that a run
/// trains to the same bits with and without prompts.
class PromptAnswers {
 public:
  /// `run_folder`: rows {"step", "prompt", "answer", "finish"} go to its answers.jsonl.
  PromptAnswers(const PromptOptions& options, std::string run_folder);

  bool any() const { return !options_.texts.empty(); }

  /// Answers every prompt with the model as it is after `step`; rows of that step and later ones,
  /// which a killed run left, are replaced. `stop_ids` are the checkpoint's own.
  /// Throws: Error for a system turn without a template, or a prompt that does not fit the model.
  void ask(model::Decoder& decoder, const text::TokenizerFolder& text,
           const std::vector<int64_t>& stop_ids, int64_t step);

  /// For report.json: each prompt with its first and its last answer, from answers.jsonl; null if
  /// there are none.
  Json report() const;

 private:
  std::string path() const { return run_folder_ + "/answers.jsonl"; }

  const PromptOptions options_;
  const std::string run_folder_;
};

/// Memory that answering takes at most: keys and values of all prompts at once, of `longest` tokens
/// and their answers.
int64_t prompt_bytes(const PromptOptions& options, const model::DecoderConfig& config,
                     const text::TokenizerFolder& text, at::ScalarType weights);

}  // namespace hone::run
