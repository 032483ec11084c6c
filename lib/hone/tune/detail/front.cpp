#include "hone/tune/detail/front.h"

#include <numeric>

#include "hone/tune/detail/order.h"

namespace hone::tune::detail {

SortedRows sort_rows(const std::vector<std::vector<double>>& rows, size_t width) {
  SortedRows sorted{{width}, {}, std::vector<size_t>(rows.size())};
  for (const size_t i :
       sorted_order(rows.size(), [&rows](size_t a, size_t b) { return rows[a] < rows[b]; })) {
    if (sorted.first.empty() || rows[sorted.first.back()] != rows[i]) {
      sorted.first.push_back(i);
      sorted.rows.push(rows[i].data());
    }
    sorted.place[i] = sorted.first.size() - 1;
  }
  return sorted;
}

std::vector<bool> front_of_sorted(const FlatRows& rows) {
  const size_t n = rows.size(), width = rows.width;
  std::vector<bool> front(n, false);
  if (width <= 2) {
    for (size_t i = 0, least = 0; i < n; ++i) {
      front[i] = i == 0 || rows[i][width - 1] < rows[least][width - 1];
      if (front[i]) least = i;
    }
    return front;
  }
  std::vector<size_t> left(n);
  std::iota(left.begin(), left.end(), size_t{0});
  while (!left.empty()) {
    const double* best = rows[left.front()];
    front[left.front()] = true;
    std::erase_if(left, [&](size_t i) {
      for (size_t k = 1; k < width; ++k) {
        if (rows[i][k] < best[k]) return false;
      }
      return true;
    });
  }
  return front;
}

FlatRows marked(const FlatRows& rows, const std::vector<bool>& keep) {
  FlatRows kept{rows.width};
  for (size_t i = 0; i < rows.size(); ++i) {
    if (keep[i]) kept.push(rows[i]);
  }
  return kept;
}

}  // namespace hone::tune::detail
