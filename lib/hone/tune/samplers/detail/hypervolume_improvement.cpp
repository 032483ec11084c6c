#include "hone/tune/samplers/detail/hypervolume_improvement.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace hone::tune::detail {
namespace {

using Eigen::Index;
using Eigen::VectorXd;

constexpr double kLeastEdge = 1e-12;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Adds the open boxes in the first `dims` losses, with the others from `box`.
void slice(std::vector<const std::vector<double>*> rows, const std::vector<double>& reference,
           Index dims, Box box, std::vector<Box>& found) {
  const Index last = dims - 1;
  std::sort(rows.begin(), rows.end(),
            [&](const auto* a, const auto* b) { return (*a)[last] < (*b)[last]; });
  if (dims == 1) {
    box.lower[0] = -kInfinity;
    box.upper[0] = rows.empty() ? reference[0] : std::min(reference[0], (*rows[0])[0]);
    found.push_back(std::move(box));
    return;
  }
  // Between two neighbours along the last loss only the rows below can dominate.
  for (size_t i = 0; i <= rows.size(); ++i) {
    box.lower[last] = i == 0 ? -kInfinity : (*rows[i - 1])[last];
    box.upper[last] = i == rows.size() ? reference[last] : (*rows[i])[last];
    box.upper[last] = std::min(box.upper[last], reference[last]);
    if (box.lower[last] >= box.upper[last]) continue;
    slice({rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(i)}, reference, dims - 1, box,
          found);
  }
}

}  // namespace

std::vector<Box> open_boxes(const Losses& losses, const std::vector<double>& reference) {
  const Index dims = static_cast<Index>(reference.size());
  const std::vector<int64_t> ranks = domination_ranks(losses, size_t{1});
  std::vector<const std::vector<double>*> rows;
  for (size_t i = 0; i < losses.size(); ++i) {
    if (ranks[i] == 0) rows.push_back(&losses[i]);
  }
  std::vector<Box> boxes;
  slice(std::move(rows), reference, dims, {VectorXd(dims), VectorXd(dims)}, boxes);
  return boxes;
}

LogUtility log_hypervolume_improvement(std::vector<std::vector<Box>> boxes) {
  return [boxes = std::move(boxes)](Index sample, const VectorXd& y, VectorXd* gradient) {
    const std::vector<Box>& own = boxes[boxes.size() == 1 ? 0 : sample];
    double volume = 0;
    VectorXd edges(y.size());
    if (gradient != nullptr) gradient->setZero(y.size());
    for (const Box& box : own) {
      edges = (box.upper + y).cwiseMin(box.upper - box.lower).cwiseMax(kLeastEdge);
      const double product = edges.prod();
      volume += product;
      if (gradient == nullptr) continue;
      for (Index i = 0; i < y.size(); ++i) {
        const double gap = box.upper[i] + y[i];
        const bool moves = gap > kLeastEdge && gap < box.upper[i] - box.lower[i];
        if (moves) (*gradient)[i] += product / edges[i];
      }
    }
    if (gradient != nullptr) *gradient /= volume;
    return std::log(volume);
  };
}

}  // namespace hone::tune::detail
