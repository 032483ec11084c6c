/// Text generation.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/names.h"
#include "hone/infer/sampling.h"
#include "hone/model/decoder.h"
#include "hone/text/tokenizer.h"

namespace hone::infer {

enum class FinishReason {
  kStop,        ///< a stop id came; it is the last of `ids` and not in `text` if special
  kStopString,  ///< a stop string was completed
  kLength,      ///< max_new_tokens, or the model's last position, was reached
  kCancelled,   ///< on_token returned false
};

struct Generated {
  std::vector<int64_t> ids;  ///< the new tokens, as transformers returns them behind the prompt
  /// decode(ids) without special tokens, cut before the stop string that ended it, if one did.
  std::string text;
  FinishReason finish = FinishReason::kLength;
  int64_t prompt_tokens = 0;
};

/// What a conversation keeps between calls of generate: what its prompts begin with alike is run
/// once.
struct Kept {
  explicit Kept(const model::Decoder& decoder);

  model::KvCache cache;      ///< at most one row
  std::vector<int64_t> ids;  ///< of that row
};

struct GenerateOptions {
  int64_t max_batch = 8;  ///< sequences continued at once
  /// Prompt positions run at once, but at least one prompt; bounds the activations' memory.
  int64_t prefill_tokens = 4096;
  /// Called with each new token of prompt number `prompt`, in the calling thread, before the next
  /// step; false ends that prompt. May be empty.
  std::function<bool(size_t prompt, int64_t id)> on_token;
  /// For one prompt only: what it shares with an earlier one, and holds it afterwards. The same
  /// decoder, its weights unchanged since. May be null.
  Kept* kept = nullptr;
};

/// Continues each prompt, a non-empty list of token ids. Results are in the prompts' order.
///
/// Prompts run longest first, up to max_batch at once; the next joins as soon as one ends. Memory
/// beside the weights and one step's activations: at most Cost::cache_bytes(dtype,
/// min(max_batch, prompts), longest prompt + max_new_tokens), and less while texts are short.
/// Greedy ids equal transformers' generate(do_sample=False) on each prompt alone
/// (tests/parity/generation.py). Sampled ids follow from seed and the prompt's number alone, but
/// that logits of another batch may differ by rounding.
///
/// Stop strings end a sequence with the token that completes one, wherever in the token it ends, as
/// transformers' StopStringCriteria does; `text` ends where the earliest of them begins. Only new
/// tokens count (there, one may begin in the prompt). A special token counts as its text.
/// Stop ids win over stop strings that the same token completes.
///
/// Puts the decoder into eval mode meanwhile. No gradient.
/// Throws: hone::Error for options without stop_ids (give eos_ids(folder), or an empty list), for
///   an empty prompt, one of ids that the model lacks, or one that reaches position_limit().
std::vector<Generated> generate(model::Decoder& decoder, const text::Tokenizer& tokenizer,
                                std::span<const std::vector<int64_t>> prompts,
                                const SamplingOptions& sampling,
                                const GenerateOptions& options = {});

/// Positions that a model of this configuration can take: max_position_embeddings, or what its
/// scaling stretches them to (yarn: factor times the original length; dynamic: factor times
/// max_position_embeddings). Generation ends there with kLength.
int64_t position_limit(const model::DecoderConfig& config);

}  // namespace hone::infer

template <>
struct hone::EnumNames<hone::infer::FinishReason> {
  static constexpr std::pair<infer::FinishReason, const char*> values[] = {
      {infer::FinishReason::kStop, "stop"},
      {infer::FinishReason::kStopString, "stop_string"},
      {infer::FinishReason::kLength, "length"},
      {infer::FinishReason::kCancelled, "cancelled"}};
};
