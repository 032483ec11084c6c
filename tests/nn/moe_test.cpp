#include "hone/nn/moe.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <map>
#include <string>

#include "hone/core/error.h"
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

/// Eight experts in two groups, of which a token takes three of either.
MoeOptions grouped(Scoring scoring) {
  MoeOptions options = kOptions;
  options.router = {.dim = 6,
                    .experts = 8,
                    .chosen = 3,
                    .scoring = scoring,
                    .groups = 2,
                    .chosen_groups = 1,
                    .group_top = 2,
                    .bias = scoring == Scoring::kSigmoid,
                    .normalise = scoring == Scoring::kSigmoid,
                    .scale = 1.5};
  options.shared_hidden = 7;
  return options;
}

Moe made(const MoeOptions& options, bool adapted) {
  Moe moe = randomised(Moe(options, kDouble));
  at::Tensor bias = moe->router->e_score_correction_bias;
  if (bias.defined()) bias.copy_(at::arange(options.router.experts).flip(0) * 0.1);
  if (!adapted) return moe;
  for (const std::string& weight : ExpertsImpl::adaptable()) {
    moe->experts->add_lora(weight, {.rank = 2, .scale = 0.5},
                           at::make_generator<at::CPUGeneratorImpl>(1));
  }
  const torch::NoGradGuard no_grad;
  for (const ModuleTensor& own : moe->experts->own_tensors()) {
    at::Tensor tensor = own.tensor;
    if (own.role == Role::kAdapter) tensor.normal_();
  }
  return moe;
}

/// After loss = sum(c * y), by name.
std::map<std::string, at::Tensor> gradients(Moe& moe, const at::Tensor& y) {
  moe->zero_grad();
  torch::manual_seed(12);
  (y * torch::randn_like(y)).sum().backward();
  std::map<std::string, at::Tensor> result;
  for (const auto& item : moe->named_parameters()) {
    if (item.value().requires_grad()) result[item.key()] = item.value().grad().clone();
  }
  return result;
}

TEST_CASE("Moe: experts cut and experts switched off give equal outputs and gradients") {
  const at::Tensor x = at::randn({40, 6}, kDouble);
  const std::vector<int64_t> keep = {0, 2, 3, 4, 6, 7};
  for (const Scoring scoring : {Scoring::kSoftmax, Scoring::kSigmoid}) {
    for (const bool adapted : {false, true}) {
      for (const double balance : {0.0, 0.3}) {
        Moe whole = made(grouped(scoring), adapted), masked = made(grouped(scoring), adapted);
        Moe cut = made(grouped(scoring), adapted);
        masked->add_gate();
        std::vector<bool> on(8, false);
        for (const int64_t expert : keep) on[expert] = true;
        masked->gate->set_mask(on);
        masked->gate->measure(Importance::kOutputNorm);
        cut->add_gate();
        const std::vector<Cut> cuts = cut->cut_units(keep);
        CHECK(cut->units() == 6);
        CHECK(cut->experts->down_proj.size(0) == 6);
        for (Moe* moe : {&masked, &cut}) {
          (*moe)->balance = {balance, kernels::Sequences::from_offsets({0, 15, 40}, at::kCPU)};
        }
        const at::Tensor wanted = masked(x), got = cut(x);
        CHECK(relative_difference(got, wanted) < 1e-12);
        CHECK(relative_difference(got, whole(x)) > 1e-3);
        auto of_masked = gradients(masked, wanted);
        const auto of_cut = gradients(cut, got);
        for (const Cut& c : cuts) {
          const auto found = of_masked.find(c.parameter);  // frozen beside its adapter
          if (found != of_masked.end()) found->second = found->second.index_select(c.dim, c.keep);
        }
        REQUIRE(of_masked.size() == of_cut.size());
        for (const auto& [name, gradient] : of_cut) {
          INFO(name);
          CHECK(relative_difference(gradient, of_masked.at(name)) < 1e-10);
        }
      }
    }
  }
}

TEST_CASE("Moe: a gate measures each expert's routed mass, and changes nothing") {
  const at::Tensor x = at::randn({40, 6}, kDouble);
  for (const bool frozen : {false, true}) {
    Moe plain = made(grouped(Scoring::kSigmoid), false);
    Moe moe = made(grouped(Scoring::kSigmoid), false);
    if (frozen) {
      for (Moe* one : {&plain, &moe}) (*one)->router->weight.set_requires_grad(false);
    }
    moe->add_gate();
    moe->gate->measure(Importance::kOutputNorm);
    const at::Tensor y = moe(x);
    CHECK(y.equal(plain(x)));
    const auto wanted = gradients(plain, plain(x)), got = gradients(moe, y);
    for (const auto& [name, gradient] : got) CHECK(gradient.equal(wanted.at(name)));
    const Routing routing = plain->router(x);
    const at::Tensor mass =
        at::zeros({40, 8}, kDouble).scatter(1, routing.experts, routing.weights).mean(0);
    const std::vector<double> importance = moe->gate->importance();
    for (int64_t e = 0; e < 8; ++e) CHECK(importance[e] == Approx(mass[e].item<double>()));
  }
}

TEST_CASE("Moe: experts that would leave uneven groups, or too few, are refused") {
  Moe moe = made(grouped(Scoring::kSigmoid), false);
  CHECK(moe->groups() == std::vector<int64_t>{0, 0, 0, 0, 1, 1, 1, 1});
  CHECK_THROWS_WITH(moe->cut_units({0, 1, 2, 4, 5, 6, 7}),
                    Catch::Contains("leave 3 4 of the 4 of each group"));
  CHECK_THROWS_WITH(moe->cut_units({0, 1, 4, 5}), Catch::Contains("and 3 at least"));
  CHECK(moe->units() == 8);  // nothing was changed
  moe(at::randn({9, 6}, kDouble));
  const std::vector<int64_t> before = moe->take_load().counts;
  moe(at::randn({9, 6}, kDouble));
  moe->cut_units({1, 2, 3, 4, 5, 6});
  CHECK(moe->take_load().counts.size() == 6);
  CHECK(before.size() == 8);
  CHECK_THROWS_WITH(moe->experts->keep_columns({}), Catch::Contains("no inputs that are units"));
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
