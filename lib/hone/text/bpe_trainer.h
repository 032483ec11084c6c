/// Trains byte-level BPE tokenizers.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/json.h"
#include "hone/core/names.h"

namespace hone::text {

/// Whose normalizer, pre-tokenizer and decoder a trained tokenizer has.
enum class TokenizerFamily { kDeepSeekV3, kQwen2, kLlama3 };

}  // namespace hone::text

template <>
struct hone::EnumNames<hone::text::TokenizerFamily> {
  static constexpr std::pair<hone::text::TokenizerFamily, const char*> values[] = {
      {hone::text::TokenizerFamily::kDeepSeekV3, "deepseek-v3"},
      {hone::text::TokenizerFamily::kQwen2, "qwen2"},
      {hone::text::TokenizerFamily::kLlama3, "llama3"}};
};

namespace hone::text {

struct BpeTrainerOptions {
  int64_t vocab_size = 32000;
  int64_t min_frequency = 2;
  TokenizerFamily family = TokenizerFamily::kDeepSeekV3;
  std::vector<std::string> special_tokens;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("vocab_size", self.vocab_size, "Entries wanted, special tokens included.",
      Range{257, 10'000'000});
    v("min_frequency", self.min_frequency, "Pairs seen less often are not merged.", Range{1, 1e15});
    v("family", self.family, "Whose pre-tokenizer to use.");
    v("special_tokens", self.special_tokens, "Take the first ids, in this order.");
  }
  /// Throws nothing; reports empty and repeated special tokens.
  void validate(Validation& v) const;
};

/// A tokenizer.json trained on `texts`, which `tokenizers` loads with the same ids.
///
/// Ids: special tokens, then the 256 bytes in order of their printable code point, then merges in
/// the order they were learnt. Each step merges the pair with the highest count; of equal counts
/// the one with the lower left id, then the lower right id. Same texts and options, same result;
/// the order of texts does not matter. Ends early when no pair reaches min_frequency.
/// Cost: O(text) to split plus, for each merge, the words that hold the pair.
/// Throws: ConfigError with every option that lies outside its range.
Json train_bpe(const std::vector<std::string>& texts, const BpeTrainerOptions& options);

}  // namespace hone::text
