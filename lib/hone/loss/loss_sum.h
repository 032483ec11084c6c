/// A loss that has not been divided yet.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::loss {

/// Sums travel, one division per optimiser step over the whole accumulation window: the mean is
/// sum / weight. Both are scalars, float32 (float64 for float64 input); only `sum` has a graph.
struct LossSum {
  at::Tensor sum;
  at::Tensor weight;
};

}  // namespace hone::loss
