/// Regular expressions that come from elsewhere, run by PCRE2 within limits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hone::unicode {

/// How a pattern is read, and what a match may cost.
struct PatternOptions {
  bool whole = false;                ///< matches from the first byte to the last only
  bool unicode_classes = true;       ///< \w, \d, \s and \b know all of Unicode; \C is refused
  bool captures = true;              ///< false: plain groups only group
  bool machine_code = false;         ///< compiled by PCRE2's JIT where the system allows it
  uint32_t match_limit = 5'000'000;  ///< backtracks: some 50 ms of work
  uint32_t heap_limit_kib = 64 << 10;
};

/// Working memory of matching; one a thread, for all patterns.
class MatchScratch {
 public:
  MatchScratch();
  ~MatchScratch();
  MatchScratch(const MatchScratch&) = delete;
  MatchScratch& operator=(const MatchScratch&) = delete;

 private:
  friend class Pattern;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Bytes of a text.
struct Match {
  size_t begin, end;
};

/// A compiled pattern over UTF-8, lines ending with LF.
class Pattern {
 public:
  /// `shown` is what messages quote, where `pattern` was made of it.
  /// Throws: Error naming the pattern, what is wrong with it and where.
  explicit Pattern(const std::string& pattern, const PatternOptions& options = {},
                   std::string shown = "");

  /// First match that begins at or after `from`. The subject must be valid UTF-8. `group` becomes
  /// what the first group holds, or the match where it holds nothing.
  /// Throws: Error naming the pattern when matching exceeds its limits.
  bool search(std::string_view subject, size_t from, MatchScratch& scratch, Match& match,
              Match* group = nullptr) const;
  bool matches(std::string_view subject) const;

 private:
  PatternOptions options_;
  std::string shown_;
  std::shared_ptr<const void> code_;
};

}  // namespace hone::unicode
