/// Hand-written matchers for the patterns that the DeepSeek, Qwen and Llama families use; several
/// times faster than PCRE2, and linear where backtracking is quadratic.
#pragma once
#include <string>
#include <vector>

#include "hone/text/detail/regex.h"

namespace hone::text::detail {

/// The scanner of a pattern as tokenizer.json spells it, or nulls.
KnownScanner known_scanner(const std::string& pattern);

/// Every pattern that has a scanner, for the tests.
std::vector<std::string> scanned_patterns();

/// Patterns of the families, as their files spell them (architectures.md 5.2).
namespace pattern {
extern const char* const kDigits3;       ///< \p{N}{1,3}
extern const char* const kDeepSeekCjk;   ///< Han, Hiragana and Katakana runs
extern const char* const kDeepSeekText;  ///< DeepSeek-V3's third Split
extern const char* const kQwen2;
extern const char* const kLlama3;
extern const char* const kGpt2;  ///< what ByteLevel splits by with use_regex
}  // namespace pattern

}  // namespace hone::text::detail
