/// Terms inside text that is written without spaces between words.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hone/text/tokenizer.h"

namespace hone::text::detail {

/// Finds rows of tokens that behave as words do, in runs of letters without spaces.
///
/// A term holds together: wherever it is cut in two, the parts stand side by side far more often
/// than chance would have it (pointwise mutual information). And it stands free: what comes before
/// it and what comes after it varies (branching entropy). The end of a run is as free as can be.
/// Sources: Jin and Tanaka-Ishii 2006 (branching entropy); Feng et al. 2004 (accessor variety).
/// Cost: a pass over the tokens for each length that still repeats, at most kMaxTokens of them.
class RunTerms {
 public:
  static constexpr size_t kMaxTokens = 24;
  static constexpr size_t kMaxChars = 12;

  /// A piece of text that occurs `weight` times, with its tokens: keeps the runs in it.
  void add(std::string_view text, const Encoding& encoding, int64_t weight);

  struct Term {
    std::string text;
    std::vector<int64_t> tokens;
    int64_t count = 0;
  };
  /// Terms of `min_tokens` tokens or more that occur `min_count` times or more, by length, then in
  /// the order in which they first occur.
  std::vector<Term> find(int64_t min_tokens, int64_t min_count) const;

 private:
  /// A token in its place. Characters are 0 where the token is only part of one.
  struct Place {
    uint32_t token, run;
    uint32_t begin, end;   ///< bytes of text_, whole characters
    char32_t first, last;  ///< the characters it begins and ends with
  };
  struct Gram;
  struct Level;
  Level first_level(int64_t min_count) const;
  Level next_level(const Level& before, size_t length, int64_t min_count) const;
  void measure_freedom(Level& level, size_t length) const;
  double cohesion(const std::vector<Level>& levels, size_t length, size_t gram) const;
  bool ends_on_characters(const Gram& gram, size_t length) const;
  bool same_run(size_t a, size_t b) const {
    return b < places_.size() && places_[a].run == places_[b].run;
  }
  std::string_view text(const Gram& gram, size_t length) const;

  std::string text_;              ///< of all runs
  std::vector<Place> places_;     ///< of all runs
  std::vector<int64_t> weights_;  ///< of runs
  int64_t total_ = 0;             ///< tokens, weighted
};

}  // namespace hone::text::detail
