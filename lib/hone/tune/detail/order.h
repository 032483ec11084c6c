#pragma once
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace hone::tune::detail {

/// The numbers below `n` in the order that `less` gives; equals keep theirs.
template <class Less>
std::vector<size_t> sorted_order(size_t n, Less less) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&less](size_t a, size_t b) { return less(a, b) || (!less(b, a) && a < b); });
  return order;
}

}  // namespace hone::tune::detail
