#include "hone/data/batch.h"

#include <algorithm>

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
  if (offsets.empty()) offsets.push_back(0);
  input_ids.insert(input_ids.end(), example.ids.begin(), example.ids.end());
  targets.insert(targets.end(), example.targets.begin(), example.targets.end());
  weights.insert(weights.end(), example.weights.begin(), example.weights.end());
  for (int64_t i = 0; i < example.length(); ++i) positions.push_back(i);
  domains.insert(domains.end(), example.ids.size(), example.domain);
  offsets.push_back(tokens());
}

bool operator==(const Batch& a, const Batch& b) {
  return a.input_ids == b.input_ids && a.targets == b.targets && a.positions == b.positions &&
         a.weights == b.weights && a.domains == b.domains && a.offsets == b.offsets;
}

}  // namespace hone::data
