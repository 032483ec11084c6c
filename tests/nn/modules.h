/// Small modules with random weights, for the tests of this room.
#pragma once
#include <torch/types.h>
#include <torch/utils.h>

#include <vector>

#include "hone/nn/attention.h"
#include "hone/nn/rotary.h"

namespace hone::nn {

template <class Module>
Module randomised(Module module) {
  torch::manual_seed(2);
  const torch::NoGradGuard no_grad;
  for (at::Tensor& parameter : module->parameters()) parameter.normal_(0.1, 0.5);
  return module;
}

/// Whole documents.
inline AttentionContext context(std::vector<int64_t> offsets, at::ScalarType dtype,
                                int64_t head_dim = 6) {
  const auto segments = kernels::Sequences::from_offsets(offsets, at::kCPU);
  std::vector<at::Tensor> positions;
  for (size_t i = 1; i < offsets.size(); ++i) {
    positions.push_back(at::arange(offsets[i] - offsets[i - 1], at::kLong));
  }
  const Rotary rotary({.head_dim = head_dim});
  const auto [cos, sin] = rotary.tables(at::cat(positions), segments, dtype);
  return {segments, cos, sin};
}

}  // namespace hone::nn
