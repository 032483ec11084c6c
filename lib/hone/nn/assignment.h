/// The assignment problem: partners one to one.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace hone::nn {

/// For each row of gain [n, n] float64 a column of its own, so that the sum is largest: the
/// Hungarian method with potentials (Kuhn 1955, Munkres 1957), in n^3 steps.
std::vector<int64_t> assigned(const at::Tensor& gain);

}  // namespace hone::nn
