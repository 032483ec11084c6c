#include "hone/optim/adamw.h"

#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <map>
#include <memory>

#include "hone/core/error.h"
#include "support/allocations.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::optim {
namespace {

using test::relative_difference;
using Named = std::vector<std::pair<std::string, at::Tensor>>;

constexpr AdamWOptions kOptions{
    .lr = 0.02, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1};

/// A matrix, a vector and a parameter that never gets a gradient; sizes that fill no vector
/// register.
Named some_parameters(at::ScalarType type = at::kFloat) {
  torch::manual_seed(1);
  Named named = {
      {"matrix", at::randn({37, 23})}, {"vector", at::randn({29})}, {"idle", at::randn({3, 3})}};
  for (auto& [name, tensor] : named) tensor = tensor.to(type).requires_grad_();
  return named;
}

/// Gradients of step `step`, the same for every call with it.
void set_gradients(const Named& named, int step, double factor = 1) {
  torch::manual_seed(100 + step);
  for (const auto& [name, tensor] : named) {
    if (name == "idle") continue;
    tensor.mutable_grad() = (at::randn(tensor.sizes()) * factor).to(tensor.scalar_type());
  }
}

torch::optim::AdamW torch_adamw(const Named& named) {
  const auto group = [](std::vector<at::Tensor> tensors, double decay) {
    return torch::optim::OptimizerParamGroup(
        tensors,
        std::make_unique<torch::optim::AdamWOptions>(torch::optim::AdamWOptions(kOptions.lr)
                                                         .betas({kOptions.beta1, kOptions.beta2})
                                                         .eps(kOptions.eps)
                                                         .weight_decay(decay)));
  };
  return torch::optim::AdamW(
      std::vector{group({named[0].second, named[2].second}, kOptions.weight_decay),
                  group({named[1].second}, 0)});
}

TEST_CASE("FusedAdamW equals torch::optim::AdamW over ten clipped steps") {
  const Named ours = some_parameters(), theirs = some_parameters();
  FusedAdamW fused(ours, kOptions);
  torch::optim::AdamW reference = torch_adamw(theirs);
  for (int step = 0; step < 10; ++step) {
    const double lr = 0.02 / (step + 1), size = step % 2 ? 0.01 : 5;  // clipped every other step
    set_gradients(ours, step, size);
    set_gradients(theirs, step, size);
    fused.set_lr(lr);
    for (auto& group : reference.param_groups()) group.options().set_lr(lr);
    const double norm = fused.scale_and_clip(0.5, 1.0);
    std::vector<at::Tensor> tensors;
    for (const auto& [name, tensor] : theirs) {
      if (tensor.grad().defined()) tensor.mutable_grad() *= 0.5;
      tensors.push_back(tensor);
    }
    CHECK(norm == Approx(torch::nn::utils::clip_grad_norm_(tensors, 1.0)).epsilon(1e-6));
    fused.step();
    reference.step();
    fused.zero_grad();
    for (size_t i = 0; i < ours.size(); ++i) {
      INFO("step " << step << " " << ours[i].first);
      CHECK_FALSE(ours[i].second.grad().defined());
      CHECK(relative_difference(ours[i].second, theirs[i].second) <
            1e-6);  // float32 rounding of 10 steps
    }
  }
}

TEST_CASE("FusedAdamW: float64 equals torch::optim::AdamW") {
  const Named ours = some_parameters(at::kDouble), theirs = some_parameters(at::kDouble);
  FusedAdamW fused(ours, kOptions);
  torch::optim::AdamW reference = torch_adamw(theirs);
  for (int step = 0; step < 3; ++step) {
    set_gradients(ours, step);
    set_gradients(theirs, step);
    fused.step();
    reference.step();
    for (size_t i = 0; i < ours.size(); ++i) {
      CHECK(relative_difference(ours[i].second, theirs[i].second) < 1e-14);
    }
  }
}

TEST_CASE("FusedAdamW: half parameters are their float32 masters, rounded") {
  const at::ScalarType type = GENERATE(at::kBFloat16, at::kHalf);
  const Named half = some_parameters(type);
  Named wide;
  for (const auto& [name, tensor] : half) {
    wide.emplace_back(name, tensor.detach().to(at::kFloat).requires_grad_());
  }
  // A step far below half precision: without masters nothing would ever move.
  AdamWOptions options = kOptions;
  options.lr = 1e-4;
  options.weight_decay = 0;
  FusedAdamW ours(half, options), reference(wide, options);
  for (int step = 0; step < 10; ++step) {
    set_gradients(half, step);
    for (size_t i = 0; i < half.size(); ++i) {
      if (half[i].second.grad().defined())
        wide[i].second.mutable_grad() = half[i].second.grad().to(at::kFloat);
    }
    CHECK(ours.scale_and_clip(2, 1) == Approx(reference.scale_and_clip(2, 1)).epsilon(1e-6));
    ours.step();
    reference.step();
  }
  for (size_t i = 0; i < half.size(); ++i) {
    CHECK(half[i].second.scalar_type() == type);
    CHECK(half[i].second.equal(wide[i].second.to(type)));
    CHECK(ours.state().at("master." + half[i].first).equal(wide[i].second));
  }
  CHECK_FALSE(wide[0].second.equal(some_parameters(type)[0].second.to(at::kFloat)));
}

TEST_CASE("FusedAdamW: the norm is that of all gradients after the factor") {
  const Named named = some_parameters();
  FusedAdamW optimizer(named, kOptions);
  CHECK(optimizer.scale_and_clip(1, 1) == 0);  // no gradient at all
  set_gradients(named, 0);
  const double squares = named[0].second.grad().square().sum().item<double>() +
                         named[1].second.grad().square().sum().item<double>();
  CHECK(optimizer.scale_and_clip(0.25, 0) == Approx(0.25 * std::sqrt(squares)).epsilon(1e-6));
  named[1].second.mutable_grad()[7] = INFINITY;
  CHECK_FALSE(std::isfinite(optimizer.scale_and_clip(1, 1)));
  named[1].second.mutable_grad()[7] = NAN;
  CHECK_FALSE(std::isfinite(optimizer.scale_and_clip(1, 1)));
}

TEST_CASE("FusedAdamW: a factor that was not used up does not reach later gradients") {
  const Named skipped = some_parameters(), plain = some_parameters();
  FusedAdamW a(skipped, kOptions), b(plain, kOptions);
  set_gradients(skipped, 0);
  a.scale_and_clip(1e-3, 1e-6);
  a.zero_grad();
  for (const auto& [named, optimizer] : {std::pair(&skipped, &a), std::pair(&plain, &b)}) {
    set_gradients(*named, 1);
    optimizer->step();
  }
  for (size_t i = 0; i < plain.size(); ++i) CHECK(skipped[i].second.equal(plain[i].second));
}

TEST_CASE("FusedAdamW: strided gradients and parameters") {
  const Named ours = {{"matrix", at::arange(12, at::kFloat).view({4, 3}).t().requires_grad_()}};
  const Named plain = {{"matrix", ours[0].second.detach().contiguous().requires_grad_()}};
  FusedAdamW a(ours, kOptions), b(plain, kOptions);
  const at::Tensor grad = at::randn({4, 3});
  ours[0].second.mutable_grad() = grad.t();
  plain[0].second.mutable_grad() = grad.t().contiguous();
  a.step();
  b.step();
  CHECK(ours[0].second.equal(plain[0].second));
}

TEST_CASE("FusedAdamW: a cut parameter steps as its entries did in the whole one") {
  const at::ScalarType type = GENERATE(at::kFloat, at::kBFloat16, at::kDouble);
  Named ours = some_parameters(type);
  const Named theirs = some_parameters(type == at::kBFloat16 ? at::kFloat : type);
  if (type == at::kBFloat16) {
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < ours.size(); ++i) theirs[i].second.copy_(ours[i].second);
  }
  FusedAdamW fused(ours, kOptions);
  torch::optim::AdamW reference = torch_adamw(theirs);
  const at::Tensor rows = at::arange(0, 37, 2), columns = at::arange(1, 22), few = at::arange(3, 9);
  for (int step = 0; step < 6; ++step) {
    set_gradients(theirs, step);
    for (size_t i = 0; i < 2; ++i) {
      // Rounded alike, where ours is of a half type.
      at::Tensor grad = theirs[i].second.grad().to(type);
      theirs[i].second.mutable_grad() = grad.to(theirs[i].second.scalar_type());
      if (step >= 3) {
        grad = i == 0 ? grad.index_select(0, rows).index_select(1, columns)
                      : grad.index_select(0, few);
      }
      ours[i].second.mutable_grad() = grad;
    }
    fused.step();
    reference.step();
    if (step != 2) continue;
    const auto cut = [&](Named::value_type& named, int64_t dim, const at::Tensor& keep) {
      named.second = named.second.detach().index_select(dim, keep).requires_grad_();
      fused.cut(named.first, named.second, dim, keep);
    };
    cut(ours[0], 0, rows);
    cut(ours[0], 1, columns);
    cut(ours[1], 0, few);
  }
  const auto state = fused.state();
  CHECK(state.at("exp_avg.matrix").sizes() == at::IntArrayRef({19, 21}));
  CHECK(state.at("step.matrix").item<float>() == 6);
  const auto value = [&](size_t i) {
    return type == at::kBFloat16 ? state.at("master." + ours[i].first) : ours[i].second;
  };
  const double tolerance = type == at::kDouble ? 1e-14 : 1e-6;  // rounding of six steps
  CHECK(relative_difference(
            value(0), theirs[0].second.index_select(0, rows).index_select(1, columns)) < tolerance);
  CHECK(relative_difference(value(1), theirs[1].second.index_select(0, few)) < tolerance);

  CHECK_THROWS_WITH(fused.cut("matrix", ours[0].second, 0, rows.slice(0, 0, 3)),
                    Catch::Contains("\"matrix\" is cut to [3, 21]"));
  CHECK_THROWS_WITH(fused.cut("other", ours[0].second, 0, rows),
                    Catch::Contains("has no parameter \"other\""));
}

TEST_CASE("FusedAdamW: a transposed parameter is cut in its own layout") {
  const auto transposed = [] {
    return Named{{"matrix", at::arange(12, at::kFloat).view({4, 3}).t().requires_grad_()}};
  };
  Named ours = transposed();
  const Named whole = transposed();
  FusedAdamW a(ours, kOptions), b(whole, kOptions);
  const at::Tensor grad = at::arange(12, at::kFloat).view({3, 4}) - 5, keep = torch::tensor({0, 2});
  ours[0].second.mutable_grad() = grad;
  whole[0].second.mutable_grad() = grad;
  a.step();
  ours[0].second = ours[0].second.detach().t().index_select(1, keep).t().requires_grad_();
  a.cut("matrix", ours[0].second, 0, keep);
  ours[0].second.mutable_grad() = grad.index_select(0, keep);
  a.step();
  b.step();
  b.step();
  CHECK(ours[0].second.equal(whole[0].second.index_select(0, keep)));
}

TEST_CASE("FusedAdamW: a removed parameter is gone, a frozen one waits with its state") {
  const Named ours = some_parameters(), theirs = some_parameters();
  FusedAdamW fused(ours, kOptions);
  torch::optim::AdamW reference = torch_adamw(theirs);
  for (int step = 0; step < 6; ++step) {
    const bool frozen = step == 2 || step == 3;
    set_gradients(ours, step);
    set_gradients(theirs, step);
    ours[0].second.set_requires_grad(!frozen);
    if (frozen) theirs[0].second.mutable_grad() = at::Tensor();
    const double norm = fused.scale_and_clip(1, 0);
    if (frozen) CHECK(norm == Approx(theirs[1].second.grad().norm().item<double>()).epsilon(1e-6));
    fused.step();
    reference.step();
    for (size_t i = 0; i < 2; ++i) {
      CHECK(relative_difference(ours[i].second, theirs[i].second) < 1e-6);
    }
  }
  CHECK(fused.has("vector"));
  fused.remove("vector");
  CHECK_FALSE(fused.has("vector"));
  CHECK(fused.state().count("exp_avg.vector") == 0);
  CHECK(fused.state().count("exp_avg.matrix") == 1);
  const at::Tensor before = ours[1].second.detach().clone();
  set_gradients(ours, 6);
  fused.step();
  CHECK(ours[1].second.equal(before));
  CHECK_THROWS_WITH(fused.remove("vector"), Catch::Contains("has no parameter \"vector\""));
}

TEST_CASE("FusedAdamW: weight decay can change between steps") {
  const Named ours = some_parameters(), theirs = some_parameters();
  FusedAdamW fused(ours, kOptions);
  torch::optim::AdamW reference = torch_adamw(theirs);
  for (int step = 0; step < 3; ++step) {
    const double decay = 0.3 * step;
    fused.set_weight_decay(decay);
    static_cast<torch::optim::AdamWOptions&>(reference.param_groups()[0].options())
        .weight_decay(decay);
    set_gradients(ours, step);
    set_gradients(theirs, step);
    fused.step();
    reference.step();
    CHECK(relative_difference(ours[0].second, theirs[0].second) < 1e-6);
  }
}

TEST_CASE("FusedAdamW: saved state continues exactly") {
  const at::ScalarType type = GENERATE(at::kFloat, at::kBFloat16);
  const Named whole = some_parameters(type), parts = some_parameters(type);
  FusedAdamW a(whole, kOptions), b(parts, kOptions);
  const auto steps = [](const Named& named, FusedAdamW& optimizer, int begin, int end) {
    for (int step = begin; step < end; ++step) {
      set_gradients(named, step);
      optimizer.scale_and_clip(1, 1);
      optimizer.step();
    }
  };
  steps(whole, a, 0, 6);
  steps(parts, b, 0, 3);
  std::map<std::string, at::Tensor> saved;
  for (const auto& [name, tensor] : b.state()) saved[name] = tensor.clone();
  Named loaded;
  for (const auto& [name, tensor] : parts)
    loaded.emplace_back(name, tensor.detach().clone().requires_grad_());
  FusedAdamW c(loaded, kOptions);
  c.load_state(saved);
  steps(loaded, c, 3, 6);
  for (size_t i = 0; i < whole.size(); ++i) CHECK(loaded[i].second.equal(whole[i].second));
  CHECK(c.state().at("step.matrix").item<float>() == 6);
  CHECK(c.state().at("step.idle").item<float>() == 0);

  saved.erase("exp_avg_sq.vector");
  CHECK_THROWS_AS(c.load_state(saved), Error);
  CHECK_THROWS_WITH(c.load_state(saved), Catch::Contains("\"exp_avg_sq.vector\" is missing"));
}

}  // namespace

TEST_CASE("FusedAdamW: a step in groups, as on other devices, equals the step in one pass") {
  const at::ScalarType type = GENERATE(at::kFloat, at::kBFloat16);
  const Named whole = some_parameters(type), grouped = some_parameters(type);
  FusedAdamW one(whole, kOptions), groups(grouped, kOptions);
  for (int step = 0; step < 4; ++step) {
    set_gradients(whole, step);
    set_gradients(grouped, step);
    std::vector<at::Tensor> gradients;
    for (const auto& [name, tensor] : grouped) {
      if (tensor.grad().defined()) gradients.push_back(tensor.grad().clone());
    }
    CHECK(one.scale_and_clip(0.5, 1) == groups.scale_and_clip(0.5, 1));
    one.step();
    groups.step_by_groups(/*most=*/100);  // the matrix has 851 numbers
    size_t next = 0;
    for (const auto& [name, tensor] : grouped) {
      if (tensor.grad().defined()) CHECK(at::equal(tensor.grad(), gradients[next++]));
    }
  }
  for (const auto& [name, state] : one.state()) {
    INFO(name);
    CHECK(relative_difference(groups.state().at(name), state) < 1e-6);  // float32 rounding
  }
}

TEST_CASE("FusedAdamW: beside the gradients a step in groups holds no more than a group") {
  const at::ScalarType type = GENERATE(at::kFloat, at::kBFloat16);
  Named named;
  for (int i = 0; i < 8; ++i) {
    named.emplace_back("p" + std::to_string(i), at::ones({64, 1024}, type).requires_grad_());
  }
  FusedAdamW optimizer(named, kOptions);
  for (const auto& [name, tensor] : named) tensor.mutable_grad() = at::ones_like(tensor);
  optimizer.scale_and_clip(0.5, 0);
  const auto counter = std::make_shared<test::AllocationCounter>();
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
    optimizer.step_by_groups(/*most=*/100000);
  }
  CHECK(counter->peak() <= 100000 * 4 + 4096);  // once in float32, and a few scalars
}

TEST_CASE("FusedAdamW tells what a step changed without a copy of the parameters") {
  const at::ScalarType type = GENERATE(at::kFloat, at::kDouble, at::kBFloat16);
  const Named named = some_parameters(type);
  FusedAdamW optimizer(named, kOptions);
  for (int step = 0; step < 3; ++step) {
    set_gradients(named, step);
    std::map<std::string, at::Tensor> before;
    for (const auto& [name, tensor] : optimizer.state()) before[name] = tensor.clone();
    for (const auto& [name, tensor] : named) {
      if (!before.contains("master." + name)) before["master." + name] = tensor.detach().clone();
    }
    optimizer.step();
    optimizer.zero_grad();
    const auto squares = optimizer.last_update();
    CHECK(squares.size() == 2);  // not the idle one
    for (const auto& [name, sums] : squares) {
      const auto state = optimizer.state();
      const at::Tensor after = state.contains("master." + name)
                                   ? state.at("master." + name)
                                   : optimizer.parameters().at(name).detach();
      const at::Tensor old = before.at("master." + name).to(at::kDouble);
      INFO(name << " at step " << step);
      CHECK(sums.weights.item<double>() == Approx(old.square().sum().item<double>()).epsilon(1e-5));
      CHECK(sums.update.item<double>() ==
            Approx((after.to(at::kDouble) - old).square().sum().item<double>()).epsilon(1e-4));
    }
  }
}

}  // namespace hone::optim
