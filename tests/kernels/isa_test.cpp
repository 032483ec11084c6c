// The loops compiled for x86-64-v4 give what those for v3 give, to the bit, forward and backward.
#include "hone/machine/isa.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <functional>
#include <vector>

#include "hone/kernels/cached_attention.h"
#include "hone/kernels/experts.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "hone/kernels/product.h"
#include "hone/kernels/rms_norm.h"
#include "hone/kernels/rotary.h"
#include "hone/kernels/sinkhorn.h"
#include "hone/kernels/swiglu.h"
#include "support/catch.h"

namespace hone::kernels {
namespace {

using machine::Isa;
using Tensors = std::vector<at::Tensor>;

/// What `work` gives by the loops of `isa`.
Tensors by(Isa isa, const std::function<Tensors()>& work) {
  const Isa before = machine::isa();
  machine::set_isa(isa);
  const Tensors results = work();
  machine::set_isa(before);
  return results;
}

void check_equal(const std::function<Tensors()>& work) {
  if (!machine::has_isa(Isa::kV4)) return;  // nothing to compare: v3 is all that can run
  const Tensors old = by(Isa::kV3, work), wide = by(Isa::kV4, work);
  for (size_t i = 0; i < old.size(); ++i) {
    INFO("result " << i);
    CHECK(old[i].equal(wide[i]));
  }
}

/// f(inputs) and its gradients, under a fixed cotangent.
template <class F>
std::function<Tensors()> with_gradients(F f, Tensors inputs) {
  return [f, inputs] {
    Tensors leaves;
    for (const at::Tensor& input : inputs)
      leaves.push_back(input.detach().clone().requires_grad_());
    Tensors results{f(leaves)};
    torch::manual_seed(3);
    results[0].backward(at::randn(results[0].sizes(), results[0].options()));
    for (const at::Tensor& leaf : leaves) results.push_back(leaf.grad());
    return results;
  };
}

TEST_CASE("loops give the same by every instruction set") {
  torch::manual_seed(7);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const int64_t width : {2, 48, 66, 288, 1026}) {
      INFO(type << ", width " << width);
      const at::Tensor x = 3 * at::randn({19, width}, type), other = at::randn({19, width}, type);
      check_equal(with_gradients([](const Tensors& in) { return rms_norm(in[0], in[1], 1e-6); },
                                 {x, at::randn({width}, type)}));
      check_equal(
          with_gradients([](const Tensors& in) { return swiglu(in[0], in[1]); }, {x, other}));
      check_equal(
          with_gradients([](const Tensors& in) { return swiglu(in[0], in[1], 1); }, {x, other}));
      check_equal(with_gradients(
          [&](const Tensors& in) {
            return apply_rotary(in[0].view({19, 1, width}), other.cos(), other.sin());
          },
          {x}));
      check_equal(with_gradients([](const Tensors& in) { return sinkhorn(in[0], 20, 1e-6); },
                                 {at::randn({width, 4, 4}, type)}));
      const at::Tensor targets = at::arange(19) * 3, factors = at::rand({19}, type);
      check_equal(with_gradients(
          [&](const Tensors& in) { return linear_cross_entropy(in[0], in[1], targets, factors); },
          {x, at::randn({57, width}, type)}));
      check_equal([&] { return Tensors{linear_nll(x, other, targets % 19)}; });
      for (const Divergence kind :
           {Divergence::kForwardKl, Divergence::kReverseKl, Divergence::kJsd}) {
        const SoftTargets soft{.hidden = other, .weight = x, .options = {.kind = kind}};
        check_equal(with_gradients(
            [&](const Tensors& in) {
              return linear_distillation(in[0], in[1], targets, factors, soft);
            },
            {x, at::randn({57, width}, type)}));
      }
      const ExpertOrder order = order_by_expert(at::arange(38).view({19, 2}) % 3, 4);
      check_equal(with_gradients(
          [&](const Tensors& in) { return mixed_experts(in[0], in[1], in[2], in[3], order); },
          {x, at::rand({19, 2}, type), at::randn({4, 2 * 35, width}, type),
           at::randn({4, width, 35}, type)}));
      check_equal(with_gradients(
          [&](const Tensors& in) {
            return apply_rotary(in[0].view({19, 1, width}), other.cos(), other.sin(),
                                RotaryPairs::kAdjoining);
          },
          {x}));
      const torch::NoGradGuard no_grad;
      const at::Tensor weight = at::randn({(int64_t{1} << 20) / width, width}, type);
      check_equal([&] { return Tensors{project(x.slice(0, 0, 1), weight)}; });
      const auto document = Sequences::from_offsets({0, 1}, at::kCPU);
      const CachePlaces places{0, {17}, at::full({1}, 17, at::kLong), at::full({1}, 18, at::kLong)};
      const at::Tensor k = x.slice(0, 0, 1).view({1, 1, width}), q = at::cat({k, -k}, 1);
      check_equal([&] {
        at::Tensor keys = x.view({1, 19, 1, width}).clone(), values = keys.sin();
        return Tensors{cached_attention(q, k, k, document, places, keys, values, 0.3)};
      });
    }
  }
}

TEST_CASE("an instruction set that the CPU lacks cannot be chosen") {
  CHECK(machine::has_isa(Isa::kV3));
  if (machine::has_isa(Isa::kV4)) return;
  CHECK_THROWS_WITH(machine::set_isa(Isa::kV4), Catch::Contains("lacks AVX-512"));
}

}  // namespace
}  // namespace hone::kernels
