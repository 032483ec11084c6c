/// A fused operation beside the plain formula, in ATen operations with their own autograd.
#pragma once
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <vector>

#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::test {

using Tensors = std::vector<at::Tensor>;

// Two orders of the same few hundred float32 additions differ by some units in the last place.
constexpr double kFloatTolerance = 2e-6;

/// The gradients of `inputs` under f, with a fixed random cotangent.
template <class F>
Tensors gradients(F f, Tensors inputs) {
  for (at::Tensor& input : inputs) input = input.detach().clone().requires_grad_();
  const at::Tensor out = f(inputs);
  torch::manual_seed(5);
  return torch::autograd::grad({out}, inputs, {at::randn(out.sizes()).to(out.scalar_type())});
}

/// Values and gradients of f and the plain formula agree to `tolerance`.
template <class F, class G>
void check_equal(F f, G plain, const Tensors& inputs, double tolerance) {
  const at::Tensor out = f(inputs), expected = plain(inputs);
  CHECK(out.scalar_type() == expected.scalar_type());
  CHECK(relative_difference(out, expected) <= tolerance);
  const Tensors got = gradients(f, inputs), wanted = gradients(plain, inputs);
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("gradient " << i);
    CHECK(got[i].scalar_type() == wanted[i].scalar_type());
    CHECK(relative_difference(got[i], wanted[i]) <= tolerance);
  }
}

inline double tolerance_of(at::ScalarType type) {
  if (type == at::kFloat) return kFloatTolerance;
  return type == at::kDouble ? 1e-14 : 0;  // half types take the plain operations themselves
}

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf};

}  // namespace hone::test
