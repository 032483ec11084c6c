/// How the next token is chosen from its logits, and when a sequence ends.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/random.h"

namespace hone::infer {

/// Names and meanings are those of transformers' GenerationConfig, but that `temperature` 0 stands
/// for do_sample = false and that every filter is off unless set (there, top_k is 50 in some
/// versions and checkpoints).
struct SamplingOptions {
  int64_t max_new_tokens = 128;
  double temperature = 0;
  int64_t top_k = 0;
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  std::vector<std::string> stop_strings;
  std::optional<std::vector<int64_t>> stop_ids;
  int64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("max_new_tokens", self.max_new_tokens, "Tokens generated at most.", Range{1, 1e9});
    v("temperature", self.temperature,
      "Divides the logits before sampling; 0 takes the likeliest token.", Range{0, 1e4});
    v("top_k", self.top_k, "Samples among the k likeliest tokens; 0 among all.", Range{0, 1e9});
    v("top_p", self.top_p,
      "Samples among the fewest tokens whose probabilities reach this sum; 1 among all.",
      Range{0, 1});
    v("min_p", self.min_p,
      "Samples among tokens of at least this share of the likeliest one's probability.",
      Range{0, 1});
    v("repetition_penalty", self.repetition_penalty,
      "Divides positive logits of tokens that occurred, in the prompt too, and multiplies negative "
      "ones; 1 changes nothing.",
      Range{1e-3, 1e3});
    v("stop_strings", self.stop_strings,
      "Strings that end the generation; the text is cut before them.");
    v("stop_ids", self.stop_ids,
      "Token ids that end the generation; the checkpoint's eos ids when absent.");
    v("seed", self.seed, "Of sampling; each prompt draws from a stream of its own.",
      Range{0, 9e15});
  }

  void validate(Validation& v) const;
};

// Each works in place on one row of logits [V], in float32, as the class of transformers'
// generation/logits_process.py that is named; dropped tokens become -infinity. Parity: to 1e-6
// (tests/parity/generation.py).

/// RepetitionPenaltyLogitsProcessor, over the ids of prompt and continuation; each counts once.
void penalise_repetition(std::span<float> logits, std::span<const int64_t> ids, double penalty);
/// TemperatureLogitsWarper.
void apply_temperature(std::span<float> logits, double temperature);
/// TopKLogitsWarper: ties with the k-th stay.
void keep_top_k(std::span<float> logits, int64_t k);
/// TopPLogitsWarper: drops the least likely tokens whose probabilities sum to no more than 1 - p;
/// of equal logits those of lower ids go first (there, the order is that of an unstable sort).
void keep_top_p(std::span<float> logits, double p);
/// MinPLogitsWarper.
void keep_min_p(std::span<float> logits, double p);

/// Those of them that `options` sets, in transformers' order: repetition, then, unless greedy,
/// temperature, top k, top p, min p.
void process_logits(std::span<float> logits, std::span<const int64_t> ids,
                    const SamplingOptions& options);

/// Index of the largest, the first of equals.
int64_t greedy_token(std::span<const float> logits);
/// Drawn with the probabilities softmax(logits), one number of `random` a call.
int64_t sampled_token(std::span<const float> logits, Random& random);

/// The ids that end a text of the checkpoint in `folder`: eos_token_id of generation_config.json or
/// else of config.json, a number or a list; empty if neither has one.
/// Throws: IoError.
std::vector<int64_t> eos_ids(const std::string& folder);

}  // namespace hone::infer
