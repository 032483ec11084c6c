#include "hone/data/packing.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>

#include "hone/core/error.h"

namespace hone::data {
namespace {

void check_lengths(const std::vector<int64_t>& lengths, int64_t budget) {
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] >= 1 && lengths[i] <= budget) continue;
    throw Error("packing: document " + std::to_string(i) + " has " + std::to_string(lengths[i]) +
                " tokens; must be between 1 and tokens_per_batch = " + std::to_string(budget) +
                " (set the data set's max_length and on_too_long)");
  }
}

}  // namespace

Bins pack_best_fit(const std::vector<int64_t>& lengths, int64_t budget) {
  check_lengths(lengths, budget);
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return lengths[a] != lengths[b] ? lengths[a] > lengths[b] : a < b;
  });

  Bins bins;
  std::multimap<int64_t, size_t> open;  // room left -> bin; equal keys keep insertion order
  for (const size_t index : order) {
    const auto fit = open.lower_bound(lengths[index]);
    size_t bin = bins.size();
    int64_t room = budget;
    if (fit == open.end()) {
      bins.emplace_back();
    } else {
      room = fit->first;
      bin = fit->second;
      open.erase(fit);
    }
    bins[bin].push_back(index);
    if (room > lengths[index]) open.emplace(room - lengths[index], bin);
  }
  return bins;
}

Bins pack_in_order(const std::vector<int64_t>& lengths, int64_t budget) {
  check_lengths(lengths, budget);
  Bins bins;
  int64_t room = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (bins.empty() || lengths[i] > room) {
      bins.emplace_back();
      room = budget;
    }
    bins.back().push_back(i);
    room -= lengths[i];
  }
  return bins;
}

std::vector<Batch> eval_batches(const std::vector<Example>& examples, int64_t tokens_per_batch) {
  std::vector<Batch> batches;
  for (const Example& example : examples) {
    if (batches.empty() || batches.back().tokens() + example.length() > tokens_per_batch) {
      batches.emplace_back();
    }
    batches.back().append(example);
  }
  return batches;
}

}  // namespace hone::data
