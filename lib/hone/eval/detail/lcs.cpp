#include "hone/eval/detail/lcs.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "hone/core/error.h"

namespace hone::eval::detail {
namespace {

using Bits = std::vector<uint64_t>;

constexpr size_t kMaxTableBytes = size_t{1} << 30;

/// Row i of the table L[i][j], the length for the first i of `a` and j of `b`, as bits: bit j - 1
/// is 0 where L[i][j] = L[i][j-1] + 1. (Hyyrö, "Bit-parallel LCS-length computation revisited",
/// 2004.)
class Rows {
 public:
  explicit Rows(const std::vector<uint32_t>& b)
      : row_((b.size() + 63) / 64, ~uint64_t{0}), matches_(row_.size()) {
    for (size_t j = 0; j < b.size(); ++j) places_[b[j]].push_back(j);
  }

  /// The row below, for one more symbol of `a`.
  void next(uint32_t symbol) {
    const auto found = places_.find(symbol);
    if (found == places_.end()) return;
    for (const size_t j : found->second) matches_[j / 64] |= uint64_t{1} << j % 64;
    uint64_t carry = 0;
    for (size_t w = 0; w < row_.size(); ++w) {
      const uint64_t v = row_[w], u = v & matches_[w];
      const uint64_t sum = v + u, with_carry = sum + carry;
      carry = (sum < v) | (with_carry < sum);
      row_[w] = with_carry | (v - u);
    }
    for (const size_t j : found->second) matches_[j / 64] = 0;
  }

  const Bits& row() const { return row_; }

 private:
  Bits row_, matches_;
  std::unordered_map<uint32_t, std::vector<size_t>> places_;
};

/// Zeros among the first `count` bits: L[i][count].
size_t length_in(const uint64_t* row, size_t count) {
  size_t ones = 0;
  for (size_t w = 0; w < count / 64; ++w) ones += static_cast<size_t>(std::popcount(row[w]));
  if (count % 64 > 0) {
    const uint64_t below = (uint64_t{1} << count % 64) - 1;
    ones += static_cast<size_t>(std::popcount(row[count / 64] & below));
  }
  return count - ones;
}

}  // namespace

size_t lcs_length(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  Rows rows(b);
  for (const uint32_t symbol : a) rows.next(symbol);
  return length_in(rows.row().data(), b.size());
}

std::vector<size_t> lcs_places(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  const size_t width = (b.size() + 63) / 64;
  if (width > 0 && a.size() + 1 > kMaxTableBytes / sizeof(uint64_t) / width) {
    throw Error("a longest common subsequence of sentences of " + std::to_string(a.size()) +
                " and " + std::to_string(b.size()) +
                " words needs more than 1 GiB; put a line break between sentences");
  }
  Rows rows(b);
  Bits table(rows.row());
  table.reserve((a.size() + 1) * width);
  for (const uint32_t symbol : a) {
    rows.next(symbol);
    table.insert(table.end(), rows.row().begin(), rows.row().end());
  }

  std::vector<size_t> places;
  for (size_t i = a.size(), j = b.size(); i > 0 && j > 0;) {
    if (a[i - 1] == b[j - 1]) {
      places.push_back(--i);
      --j;
    } else if (length_in(&table[i * width], j - 1) > length_in(&table[(i - 1) * width], j)) {
      --j;
    } else {
      --i;
    }
  }
  std::reverse(places.begin(), places.end());
  return places;
}

}  // namespace hone::eval::detail
