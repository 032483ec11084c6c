#include "hone/nn/assignment.h"

#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "support/catch.h"

namespace hone::nn {
namespace {

TEST_CASE("No other assignment gains more") {
  const int64_t n = GENERATE(1, 2, 3, 6);
  torch::manual_seed(n);
  const at::Tensor gain = torch::randn({n, n}, at::kDouble);
  const auto total = [&](const std::vector<int64_t>& columns) {
    double sum = 0;
    for (int64_t row = 0; row < n; ++row) sum += gain[row][columns[row]].item<double>();
    return sum;
  };
  std::vector<int64_t> columns(n);
  std::iota(columns.begin(), columns.end(), 0);
  double best = total(columns);
  while (std::next_permutation(columns.begin(), columns.end())) {
    best = std::max(best, total(columns));
  }
  std::vector<int64_t> found = assigned(gain);
  CHECK(total(found) == Approx(best));
  std::sort(found.begin(), found.end());
  std::sort(columns.begin(), columns.end());
  CHECK(found == columns);
}

}  // namespace
}  // namespace hone::nn
