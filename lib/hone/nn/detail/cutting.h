/// What modules whose units can be gated and cut share.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <vector>

#include "hone/nn/gate.h"
#include "hone/nn/linear.h"

namespace hone::nn::detail {

/// Registers a gate of `units` in `module`'s null member `gate`.
void add_gate(torch::nn::Module& module, Gate& gate, int64_t units);

/// Throws: c10::ValueError unless `keep` are ascending positions of `units`, at least one.
void check_keep(const char* who, const std::vector<int64_t>& keep, int64_t units);

/// [keep * width] int64: the positions of units that are `width` wide.
at::Tensor positions_of(const std::vector<int64_t>& keep, int64_t width);

/// Adds a child's cuts, their paths below its name.
void append(std::vector<Cut>& cuts, const std::string& child, std::vector<Cut> of_child);

}  // namespace hone::nn::detail
