#include "hone/nn/experts.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::relative_difference;

constexpr int64_t kCount = 4;

Experts random_experts() {
  return randomised(Experts(ExpertsOptions{.count = kCount, .dim = 6, .hidden = 5},
                            at::TensorOptions().dtype(at::kDouble)));
}

/// With adapters on these weights, all of them random.
Experts adapted(const std::vector<std::string>& weights, int64_t rank = 3) {
  Experts experts = random_experts();
  for (const std::string& weight : weights) {
    experts->add_lora(weight, {.rank = rank, .scale = 0.7},
                      at::make_generator<at::CPUGeneratorImpl>(1));
  }
  const torch::NoGradGuard no_grad;
  for (const ModuleTensor& own : experts->own_tensors()) {
    at::Tensor tensor = own.tensor;
    if (own.role == Role::kAdapter) tensor.normal_();
  }
  return experts;
}

/// A layer's pass over 9 tokens, each through 2 experts.
at::Tensor pass(const Experts& experts) {
  torch::manual_seed(3);
  const at::Tensor x = at::randn({9, 6}, at::kDouble), weights = at::rand({9, 2}, at::kDouble);
  const at::Tensor choices = at::rand({9, kCount}).argsort(1, false).slice(1, 0, 2).contiguous();
  return experts->forward(x, weights, kernels::order_by_expert(choices, kCount));
}

std::vector<std::string> names_of(const Experts& experts) {
  std::vector<std::string> names;
  for (const ModuleTensor& own : experts->own_tensors()) names.push_back(own.name);
  return names;
}

TEST_CASE("Experts: an adapter begins without effect and trains alone") {
  Experts experts = random_experts();
  const at::Tensor before = pass(experts);
  experts->add_lora("down_proj", {.rank = 2}, at::make_generator<at::CPUGeneratorImpl>(1));
  CHECK(pass(experts).equal(before));
  CHECK_FALSE(experts->down_proj.requires_grad());
  const ModuleTensor a = experts->own_tensors()[2], b = experts->own_tensors()[3];
  CHECK(a.tensor.sizes() == at::IntArrayRef{kCount * 2, 5});
  CHECK(b.tensor.sizes() == at::IntArrayRef{6, kCount * 2});
  CHECK(a.tensor.abs().max().item<double>() <= 1 / std::sqrt(5.0));
  CHECK(b.tensor.eq(0).all().item<bool>());
  CHECK(a.tensor.requires_grad());
  CHECK_THROWS_WITH(experts->add_lora("down_proj", {}, {}), Catch::Contains("already"));
  CHECK_THROWS_AS(experts->add_lora("gate_up_proj", {.dora = true}, {}), Error);
  CHECK_THROWS_WITH(experts->add_lora("gate_up_proj", {.dropout = 0.1}, {}),
                    Catch::Contains("gate_up_proj has neither DoRA nor dropout") &&
                        Catch::Contains("set lora_dropout 0"));
}

TEST_CASE("Experts: PEFT's names depend on which weights have an adapter") {
  using Names = std::vector<std::string>;
  const Names base = {"gate_up_proj", "down_proj"};
  CHECK(names_of(adapted({"gate_up_proj"})) ==
        Names{base[0], base[1], "lora_A.weight", "lora_B.weight"});
  CHECK(names_of(adapted({"gate_up_proj", "down_proj"})) ==
        Names{base[0], base[1], "base_layer.lora_A.weight", "base_layer.lora_B.weight",
              "lora_A.weight", "lora_B.weight"});
  // Each is also a parameter, by the name that own_tensors() gives.
  const Experts experts = adapted({"gate_up_proj", "down_proj"});
  const auto parameters = experts->named_parameters();
  CHECK(parameters.size() == 6);
  for (const ModuleTensor& own : experts->own_tensors()) {
    CHECK(parameters[own.parameter].is_same(own.tensor));
  }
}

TEST_CASE("Experts: row e r + i of A and column i E + e of B are those of expert e") {
  const Experts experts = adapted({"gate_up_proj", "down_proj"});
  const std::vector<ModuleTensor> own = experts->own_tensors();
  Experts changed = random_experts();
  const torch::NoGradGuard no_grad;
  for (const size_t first : {2, 4}) {
    const at::Tensor a = own[first].tensor, b = own[first + 1].tensor;
    for (int64_t e = 0; e < kCount; ++e) {
      at::Tensor weight = (first == 2 ? changed->gate_up_proj : changed->down_proj)[e];
      for (int64_t i = 0; i < 3; ++i) {
        weight.add_(at::outer(b.select(1, i * kCount + e), a[e * 3 + i]), 0.7);
      }
    }
  }
  CHECK(relative_difference(pass(experts), pass(changed)) < 1e-13);
}

TEST_CASE("Experts: merged they compute the same; dropped, what they did before") {
  for (const std::vector<std::string>& weights :
       {std::vector<std::string>{"gate_up_proj"}, {"down_proj"}, {"gate_up_proj", "down_proj"}}) {
    Experts experts = adapted(weights);
    const at::Tensor wanted = pass(experts), before = pass(random_experts());
    CHECK(relative_difference(wanted, before) > 0.01);
    experts->merge_lora();
    CHECK(relative_difference(pass(experts), wanted) < 1e-13);
    CHECK(experts->named_parameters().size() == 2);
    for (const at::Tensor& parameter : experts->parameters()) CHECK(parameter.requires_grad());
    Experts other = adapted(weights);
    other->drop_lora();
    CHECK(pass(other).equal(before));
    CHECK(other->own_tensors().size() == 2);
  }
}

}  // namespace
}  // namespace hone::nn
