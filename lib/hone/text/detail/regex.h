/// Patterns of tokenizer.json: written for Oniguruma, run by PCRE2.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "hone/core/utf8.h"
#include "hone/unicode/pattern.h"

namespace hone::text::detail {

/// The PCRE2 pattern that matches what Oniguruma (Ruby syntax, UTF-8, Unicode 16) matches with
/// `pattern`. Groups do not capture. Differences bridged: \s, \w, \d, \h, ^, $ (Ruby's are those of
/// lines), categories of characters newer than PCRE2's tables.
/// Throws: Error naming a construct that is not among those translated.
std::string translate_pattern(const std::string& pattern);

using unicode::Match;
using unicode::MatchScratch;

/// A hand-written matcher for one well-known pattern: the end of the match that starts exactly at
/// `p` in [begin, end), or null. Equal to PCRE2 on random texts (tests/text/scanner_test.cpp).
using Scanner = const char* (*)(const char* p, const char* begin, const char* end);

struct KnownScanner {
  Scanner scan = nullptr;
  const bool* starts = nullptr;  ///< [256]: bytes that a match may start with
};

/// A compiled pattern or a plain string to look for.
class Regex {
 public:
  /// `where` names the place in messages. Throws: IoError(source) naming the pattern.
  static Regex compile(const std::string& pattern, const std::string& source,
                       const std::string& where, bool use_scanner = true);
  static Regex literal(std::string text);

  /// First match that begins at or after `from`. The subject must be valid UTF-8.
  /// Throws: Error naming the pattern when matching exceeds its limits.
  bool search(std::string_view subject, size_t from, MatchScratch& scratch, Match& match) const;

  /// Calls `each(begin, end, is_match)` for matches and gaps in order, together the whole subject;
  /// an empty subject is one gap. Empty matches right behind a match do not count.
  template <class Each>
  void split(std::string_view subject, MatchScratch& scratch, Each&& each) const;

  bool has_scanner() const { return scanner_.scan != nullptr; }

 private:
  Regex() = default;
  bool scan(std::string_view subject, size_t from, Match& match) const;

  std::string text_;  ///< the pattern, or the literal
  std::optional<unicode::Pattern> compiled_;
  KnownScanner scanner_;
};

template <class Each>
void Regex::split(std::string_view subject, MatchScratch& scratch, Each&& each) const {
  if (subject.empty()) return each(size_t{0}, size_t{0}, false);
  size_t previous = 0, from = 0;
  bool matched = false;
  Match match;
  while (from <= subject.size() && search(subject, from, scratch, match)) {
    if (match.begin == match.end && matched && match.end == previous) {
      // No empty match right behind a match: try one character on.
      from = match.end + 1;
      while (from < subject.size() && is_continuation(subject[from])) ++from;
      continue;
    }
    if (previous != match.begin) each(previous, match.begin, false);
    each(match.begin, match.end, true);
    previous = from = match.end;
    matched = true;
  }
  if (previous != subject.size()) each(previous, subject.size(), false);
}

}  // namespace hone::text::detail
