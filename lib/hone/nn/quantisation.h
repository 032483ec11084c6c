/// How a linear layer's numbers are rounded.
#pragma once
#include <c10/core/ScalarType.h>

#include "hone/kernels/quantise.h"
#include "hone/kernels/quantised_linear.h"

namespace hone::nn {

/// Inputs are rounded only where weights have 8 bits, a byte each, and a scale a row.
struct QuantisationSpec {
  kernels::WeightFormat weight;
  kernels::InputRounding inputs;
  at::ScalarType scale_type = at::kFloat;  ///< of the weights' scales
};

}  // namespace hone::nn
