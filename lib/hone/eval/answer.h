/// The answer inside a generated text.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "hone/unicode/pattern.h"

namespace hone::eval {

/// Takes out of a text what is to be scored: what stands behind the last `after` ("</think>"), and
/// in it the last match of the pattern `extract`, its first group where it has one. White space
/// around the answer goes. A text without `after`, or without a match, has no answer.
///
/// Patterns are PCRE2's, with Unicode classes; their limits are those of unicode::Pattern.
class AnswerReader {
 public:
  /// Throws: Error with the pattern, where in it and why it does not compile.
  AnswerReader(std::optional<std::string> after, const std::optional<std::string>& extract);

  /// The answer; nullopt if there is none. Bytes that are not UTF-8 count as U+FFFD.
  /// Throws: Error naming the pattern when matching exceeds its limits.
  std::optional<std::string> read(std::string_view text) const;

 private:
  std::optional<std::string> last_match(const std::string& text) const;

  std::optional<std::string> after_;
  std::optional<unicode::Pattern> extract_;
};

}  // namespace hone::eval
