/// Key entities: terms whose tokens count more in the loss.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hone::data {

/// A stretch of bytes [begin, end) of a text.
struct Span {
  int64_t begin = 0;
  int64_t end = 0;
  friend bool operator==(const Span& a, const Span& b) {
    return a.begin == b.begin && a.end == b.end;
  }
};

/// Finds terms in text at word boundaries, in time that does not grow with the number of terms: a
/// trie of the terms' words is walked from each word on.
///
/// A word is a run of letters, marks, digits and underscores; a match begins and ends at a word's
/// end or beginning. Text of scripts written without spaces (Chinese, Japanese, Thai, ...; Korean
/// too, for its particles) has no words: a term matches there between any two characters. A run of
/// white space in a term matches any run of white space. The longest match at a place wins; matches
/// do not overlap.
class EntityMatcher {
 public:
  /// `ignore_case` compares letters by their lower case.
  /// White space at a term's ends is left out.
  /// Throws: Error for an empty or over-long term (over 1024 bytes).
  EntityMatcher(const std::vector<std::string>& terms, bool ignore_case);
  ~EntityMatcher();
  EntityMatcher(EntityMatcher&&) noexcept;
  EntityMatcher& operator=(EntityMatcher&&) noexcept;

  /// Matches in order.
  std::vector<Span> find(std::string_view text) const;
  /// Different terms.
  int64_t terms() const;

 private:
  struct Trie;
  std::unique_ptr<Trie> trie_;
};

/// One term a line; white space at the ends, empty lines and lines beginning with '#' are left
/// out. Throws: IoError; Error if no term is left.
std::vector<std::string> read_terms(const std::string& path);

}  // namespace hone::data
