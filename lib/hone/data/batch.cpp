#include "hone/data/batch.h"

#include <algorithm>
#include <string>

#include "hone/core/error.h"

namespace hone::data {
namespace {

int64_t count_trained(const std::vector<int64_t>& targets) {
  return static_cast<int64_t>(targets.size()) -
         std::count(targets.begin(), targets.end(), kIgnoreIndex);
}

}  // namespace

int64_t Example::trained() const { return count_trained(targets); }
int64_t Batch::trained() const { return count_trained(targets); }

void Batch::append(const Example& example) {
  const size_t length = example.ids.size();
  if (length == 0 || example.targets.size() != length || example.weights.size() != length) {
    throw Error("Batch: a document must have as many targets and weights as ids, at least 1; got " +
                std::to_string(example.targets.size()) + ", " +
                std::to_string(example.weights.size()) + " and " + std::to_string(length));
  }
  if (offsets.empty()) offsets.push_back(0);
  input_ids.insert(input_ids.end(), example.ids.begin(), example.ids.end());
  targets.insert(targets.end(), example.targets.begin(), example.targets.end());
  weights.insert(weights.end(), example.weights.begin(), example.weights.end());
  for (int64_t i = 0; i < example.length(); ++i) positions.push_back(i);
  domains.insert(domains.end(), example.ids.size(), example.domain);
  offsets.push_back(tokens());
}

Batch Batch::further() const {
  Batch next = *this;
  for (int64_t d = 0; d < documents(); ++d) {
    const auto last = static_cast<size_t>(offsets[d + 1] - 1);
    for (auto i = static_cast<size_t>(offsets[d]); i < last; ++i) {
      next.input_ids[i] = input_ids[i + 1];
      next.targets[i] = targets[i + 1];
      next.weights[i] = weights[i + 1];
    }
    next.targets[last] = kIgnoreIndex;
  }
  return next;
}

bool operator==(const Batch& a, const Batch& b) {
  return a.input_ids == b.input_ids && a.targets == b.targets && a.positions == b.positions &&
         a.weights == b.weights && a.domains == b.domains && a.offsets == b.offsets;
}

}  // namespace hone::data
