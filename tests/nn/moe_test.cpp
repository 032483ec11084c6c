#include "hone/nn/moe.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::relative_difference;

const MoeOptions kOptions = {.router = {.dim = 6, .experts = 4, .chosen = 2}, .hidden = 5};
const auto kDouble = at::TensorOptions().dtype(at::kDouble);

/// Each token by itself, through the MLPs that it takes.
at::Tensor plain(Moe& moe, const at::Tensor& x) {
  const Routing routing = moe->router(x);
  std::vector<at::Tensor> rows;
  for (int64_t t = 0; t < x.size(0); ++t) {
    at::Tensor row = moe->shared_experts ? moe->shared_experts(x.slice(0, t, t + 1))
                                         : at::zeros({1, x.size(1)}, x.options());
    for (int64_t k = 0; k < routing.experts.size(1); ++k) {
      const int64_t e = routing.experts[t][k].item<int64_t>();
      const auto halves =
          at::linear(x.slice(0, t, t + 1), moe->experts->gate_up_proj[e]).chunk(2, 1);
      const at::Tensor y = at::linear(at::silu(halves[0]) * halves[1], moe->experts->down_proj[e]);
      row = row + y * routing.weights[t][k];
    }
    rows.push_back(row);
  }
  return at::cat(rows);
}

TEST_CASE("Moe: a token's experts, weighed, and the shared ones") {
  for (const int64_t shared : {0, 7}) {
    MoeOptions options = kOptions;
    options.shared_hidden = shared;
    Moe moe = randomised(Moe(options, kDouble));
    CHECK(moe->shared_experts.is_empty() == (shared == 0));
    const at::Tensor x = at::randn({9, 6}, kDouble);
    CHECK(relative_difference(moe(x), plain(moe, x)) < 1e-13);
    const auto f = [&](const std::vector<at::Tensor>& in) { return moe(in[0]); };
    CHECK(test::gradient_error(f, {x}) == "");
  }
}

TEST_CASE("Moe: its tensors as transformers names them; flops of what a token takes") {
  MoeOptions options = kOptions;
  options.shared_hidden = 7;
  options.router.bias = true;
  const Moe moe(options, kDouble);
  std::vector<std::string> names;
  for (const ModuleTensor& tensor : tensors(*moe)) names.push_back(tensor.name);
  CHECK(names == std::vector<std::string>{
                     "gate.weight", "gate.e_score_correction_bias", "experts.gate_up_proj",
                     "experts.down_proj", "shared_experts.gate_proj.weight",
                     "shared_experts.up_proj.weight", "shared_experts.down_proj.weight"});
  CHECK(moe->flops(100) == 2 * (4 * 6 + 2 * 3 * 5 * 6 + 3 * 7 * 6));
}

}  // namespace
}  // namespace hone::nn
