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

/// Finds terms in text at word boundaries, in time linear in the text whatever the number of
/// terms: a trie of the terms' words is walked from each word on.
///
/// A word is a run of letters, digits and underscores (ASCII; every byte of a multi-byte UTF-8
/// character counts as a letter, except that East Asian text has no boundaries and so matches
/// anywhere between characters). A match begins and ends at a boundary; runs of white space in a
/// term match any run of white space. The longest match at a place wins; matches do not overlap.
class EntityMatcher {
 public:
  /// `ignore_case` folds ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic letters.
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
