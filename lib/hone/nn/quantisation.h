/// How a linear layer's numbers are rounded.
#pragma once
#include "hone/kernels/quantise.h"
#include "hone/kernels/quantised_linear.h"

namespace hone::nn {

/// Inputs are rounded only where weights have 8 bits, a byte each, and a scale a row.
struct QuantisationSpec {
  kernels::WeightFormat weight;
  kernels::InputRounding inputs;
};

}  // namespace hone::nn
