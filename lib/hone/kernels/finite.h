/// Whether numbers are numbers.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// Whether no element is infinite or NaN. Costs one pass and, while all are, no
/// copy. Whole numbers are finite.
bool all_finite(const at::Tensor& x);

}  // namespace hone::kernels
