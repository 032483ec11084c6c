/// Counting n-grams in linear time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hone::eval::detail {

/// Numbers for words, equal for equal words over all lists.
std::vector<std::vector<uint32_t>> number_words(
    const std::vector<std::vector<std::string_view>>& lists);

/// The n-grams of several sequences of symbols, for one n after the other, beginning with 1. An
/// n-gram is known by the (n-1)-gram it begins with and its last symbol, so that each costs one
/// look-up whatever n is, and no two share a number.
class Ngrams {
 public:
  explicit Ngrams(std::vector<std::vector<uint32_t>> sequences);

  void next_order();

  /// Number of n-grams of a sequence.
  int64_t size(size_t sequence) const { return static_cast<int64_t>(numbers_[sequence].size()); }

  /// n-grams that the sequence has in common with those in [first, last): each counts as often as
  /// it occurs in it, but not more often than in the one of them where it is most frequent.
  int64_t matches(size_t sequence, size_t first, size_t last);

 private:
  struct Slot {
    uint64_t key;
    uint32_t number;
  };
  uint32_t number_of(uint64_t key);

  std::vector<std::vector<uint32_t>> symbols_, numbers_;
  size_t order_ = 0;
  uint32_t used_ = 0;        ///< numbers given out for this order
  std::vector<Slot> slots_;  ///< open addressing; a power of two, at most half full
  std::vector<int64_t> limits_, counts_;
};

}  // namespace hone::eval::detail
