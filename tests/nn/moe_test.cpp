#include "hone/nn/moe.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/kernels/swiglu.h"
#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::relative_difference;

const MoeOptions kOptions = {.router = {.dim = 6, .experts = 4, .chosen = 2}, .hidden = 5};
const auto kDouble = at::TensorOptions().dtype(at::kDouble);

/// Each token by itself, through the MLPs that it takes.
at::Tensor plain(Moe& moe, const at::Tensor& x, const at::Tensor& ids = {}) {
  const Routing routing = moe->router(x, ids);
  std::vector<at::Tensor> rows;
  for (int64_t t = 0; t < x.size(0); ++t) {
    at::Tensor row = moe->shared_experts ? moe->shared_experts(x.slice(0, t, t + 1))
                                         : at::zeros({1, x.size(1)}, x.options());
    for (int64_t k = 0; k < routing.experts.size(1); ++k) {
      const int64_t e = routing.experts[t][k].item<int64_t>();
      const auto halves =
          at::linear(x.slice(0, t, t + 1), moe->experts->gate_up_proj[e]).chunk(2, 1);
      const at::Tensor activated =
          kernels::swiglu(halves[0].contiguous(), halves[1].contiguous(), moe->options.limit);
      const at::Tensor y = at::linear(activated, moe->experts->down_proj[e]);
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

TEST_CASE("Moe: experts by the token's id; a limit on the shared ones too") {
  MoeOptions options = kOptions;
  options.router.hashed = 20;
  options.shared_hidden = 7;
  options.limit = 0.3;
  Moe moe = randomised(Moe(options, kDouble));
  moe->router->tid2eid.copy_(at::rand({20, 4}).argsort(1, false).slice(1, 0, 2));
  CHECK(moe->shared_experts->options.limit == 0.3);
  const at::Tensor x = at::randn({9, 6}, kDouble), ids = at::randint(20, {9}, at::kLong);
  CHECK(relative_difference(moe(x, ids), plain(moe, x, ids)) < 1e-13);
  const auto f = [&](const std::vector<at::Tensor>& in) { return moe(in[0], ids); };
  CHECK(test::gradient_error(f, {x}) == "");
}

/// Of one document, by its definition.
double plain_balance(Moe& moe, const at::Tensor& x) {
  const RouterOptions& o = moe->options.router;
  at::Tensor scores = moe->router(x).scores;
  if (o.scoring != Scoring::kSoftmax) scores = scores / scores.sum(-1, true);
  double loss = 0;
  for (int64_t e = 0; e < o.experts; ++e) {
    double chosen = 0;
    for (int64_t t = 0; t < x.size(0); ++t) {
      const at::Tensor best = std::get<1>(scores[t].topk(o.chosen));
      chosen += best.eq(e).any().item<bool>();
    }
    const double share =
        chosen * static_cast<double>(o.experts) / static_cast<double>(o.chosen * x.size(0));
    loss += share * scores.select(1, e).mean().item<double>();
  }
  return loss;
}

TEST_CASE("Moe: the balance loss of each document, its gradient beside the model's") {
  for (const Scoring scoring : {Scoring::kSoftmax, Scoring::kSigmoid, Scoring::kSqrtSoftplus}) {
    MoeOptions options = kOptions;
    options.router.scoring = scoring;
    options.router.bias = scoring != Scoring::kSoftmax;
    Moe moe = randomised(Moe(options, kDouble));
    if (options.router.bias) moe->router->e_score_correction_bias.copy_(at::arange(4) * 0.3);
    const at::Tensor x = at::randn({9, 6}, kDouble);
    const at::Tensor cotangent = at::randn({9, 6}, kDouble);
    const auto gradient = [&](double factor) {
      moe->zero_grad();
      moe->balance = {factor, kernels::Sequences::from_offsets({0, 4, 9}, at::kCPU)};
      (moe(x) * cotangent).sum().backward();
      return moe->router->weight.grad().clone();
    };
    moe->take_load();
    const at::Tensor without = gradient(0);
    CHECK(moe->take_load().passes == 0);
    const at::Tensor with = gradient(2);
    const ExpertLoad load = moe->take_load();
    CHECK(load.passes == 1);
    const auto wanted = [&] {
      return (plain_balance(moe, x.slice(0, 0, 4)) + plain_balance(moe, x.slice(0, 4))) / 2;
    };
    CHECK(load.balance == Approx(wanted()).epsilon(1e-9));
    // The difference of the gradients is that of the loss, where no choice changes.
    const torch::NoGradGuard no_grad;
    at::Tensor& weight = moe->router->weight;
    for (int64_t i = 0; i < weight.numel(); i += 5) {
      const double step = 1e-6, old = weight.view(-1)[i].item<double>();
      weight.view(-1)[i] = old + step;
      const double above = wanted();
      weight.view(-1)[i] = old - step;
      const double below = wanted();
      weight.view(-1)[i] = old;
      const double got = (with - without).view(-1)[i].item<double>();
      CHECK(got == Approx(2 * (above - below) / (2 * step)).margin(1e-7));
    }
  }
}

TEST_CASE("Moe: its load is that of training alone, until it is taken") {
  Moe moe = randomised(Moe(kOptions, kDouble));
  const at::Tensor x = at::randn({9, 6}, kDouble);
  moe->eval();
  moe(x);
  CHECK(moe->take_load().counts.empty());
  moe->train();
  moe(x);
  moe(x);
  const ExpertLoad load = moe->take_load();
  const at::Tensor choices = moe->router(x).experts;
  for (int64_t e = 0; e < 4; ++e) CHECK(load.counts[e] == 2 * choices.eq(e).sum().item<int64_t>());
  CHECK(moe->take_load().counts.empty());
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
