#include "hone/nn/linear.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::gradient_error;
using test::relative_difference;

Linear random_linear(bool bias, at::ScalarType dtype = at::kDouble) {
  Linear linear(LinearOptions{.in = 6, .out = 5, .bias = bias}, at::TensorOptions().dtype(dtype));
  torch::manual_seed(4);
  const torch::NoGradGuard no_grad;
  for (at::Tensor& parameter : linear->parameters()) parameter.normal_();
  return linear;
}

/// With an adapter whose every part is random.
Linear adapted(const LoraSpec& spec, bool bias = true) {
  Linear linear = random_linear(bias);
  linear->add_lora(spec, at::make_generator<at::CPUGeneratorImpl>(1));
  const torch::NoGradGuard no_grad;
  linear->lora_B.normal_();
  if (spec.dora) linear->lora_magnitude_vector.uniform_(0.5, 2);
  return linear;
}

TEST_CASE("Linear without an adapter is at::linear") {
  for (const bool bias : {true, false}) {
    Linear linear = random_linear(bias);
    const at::Tensor x = torch::randn({3, 6}, at::kDouble);
    CHECK(at::equal(linear(x), at::linear(x, linear->weight, linear->bias)));
  }
}

TEST_CASE("Linear: gradient through LoRA") {
  Linear linear = adapted({.rank = 2, .scale = 1.5});
  const auto f = [&](const std::vector<at::Tensor>& in) {
    linear->lora_A = in[1];
    linear->lora_B = in[2];
    return linear(in[0]);
  };
  CHECK(gradient_error(f, {torch::randn({3, 6}, at::kDouble), linear->lora_A, linear->lora_B}) ==
        "");
}

TEST_CASE("Linear: gradient through DoRA, whose row norms count as constants") {
  Linear linear = adapted({.rank = 2, .scale = 1.5, .dora = true});
  const auto f = [&](const std::vector<at::Tensor>& in) {
    linear->lora_magnitude_vector = in[1];
    return linear(in[0]);
  };
  CHECK(gradient_error(f, {torch::randn({3, 6}, at::kDouble), linear->lora_magnitude_vector}) ==
        "");
}

TEST_CASE("Linear: a new adapter changes nothing and trains alone") {
  for (const bool dora : {false, true}) {
    Linear linear = random_linear(true);
    const at::Tensor x = torch::randn({3, 6}, at::kDouble);
    const at::Tensor before = linear(x);
    linear->add_lora({.rank = 4, .scale = 2, .dropout = 0.5, .dora = dora},
                     at::make_generator<at::CPUGeneratorImpl>(1));
    CHECK(relative_difference(linear(x), before) < 1e-6);  // DoRA's norms are computed anew
    CHECK(linear->lora_A.abs().max().item<double>() <= 1 / std::sqrt(6.0));
    CHECK(linear->lora_A.std().item<double>() > 0.1);
    CHECK(at::equal(linear->lora_B, at::zeros_like(linear->lora_B)));
    CHECK_FALSE(linear->weight.requires_grad());
    CHECK_FALSE(linear->bias.requires_grad());
    CHECK(linear->lora_A.requires_grad());
    CHECK_THROWS_WITH(linear->add_lora({}, at::make_generator<at::CPUGeneratorImpl>(1)),
                      Catch::Contains("adapter already"));
  }
}

TEST_CASE("Linear: merged equals adapted, and is a plain layer again") {
  for (const bool dora : {false, true}) {
    Linear linear = adapted({.rank = 2, .scale = 0.7, .dora = dora});
    const at::Tensor x = torch::randn({3, 6}, at::kDouble);
    const at::Tensor wanted = linear(x);
    linear->merge_lora();
    CHECK(relative_difference(linear(x), wanted) < 1e-12);
    CHECK_FALSE(linear->has_lora());
    CHECK(linear->named_parameters().size() == 2);
    CHECK(linear->weight.requires_grad());
  }
}

TEST_CASE("Linear: the adapter's dropout acts in training only, and on the adapter only") {
  for (const bool dora : {false, true}) {
    Linear linear = adapted({.rank = 2, .scale = 1, .dropout = 0.5, .dora = dora});
    const at::Tensor x = torch::randn({3, 6}, at::kDouble);
    CHECK_FALSE(at::equal(linear(x), linear(x)));
    linear->eval();
    CHECK(at::equal(linear(x), linear(x)));
    linear->train();
    const torch::NoGradGuard no_grad;
    linear->lora_B.zero_();
    if (dora) linear->lora_magnitude_vector.copy_(linear->weight.norm(2, at::IntArrayRef{1}));
    CHECK(relative_difference(linear(x), at::linear(x, linear->weight, linear->bias)) < 1e-12);
  }
}

TEST_CASE("Linear: what a step keeps beside the input: each part that its adapter has") {
  CHECK(random_linear(true)->saved() == 0);
  CHECK(adapted({.rank = 2})->saved() == 2);
  CHECK(adapted({.rank = 2, .dora = true})->saved() == 2 + 5);
  CHECK(adapted({.rank = 2, .dropout = 0.5})->saved() == 2 + 2 * 6);  // the mask, what it leaves
  CHECK(adapted({.rank = 2, .dropout = 0.5, .dora = true})->saved() == 2 + 5 + 2 * 6);
}

TEST_CASE("Linear: the mean over dropout is the adapter without it") {
  Linear linear = adapted({.rank = 2, .scale = 1, .dropout = 0.5, .dora = true});
  const at::Tensor x = torch::randn({1, 6}, at::kDouble);
  torch::manual_seed(1);
  const at::Tensor mean = linear(x.expand({40000, 6})).mean(0, true);
  linear->eval();
  CHECK(relative_difference(mean, linear(x)) < 0.03);  // 40000 draws: within 1 %, at 3 sigma
}

TEST_CASE("Linear: rounded while it trains, then quantised, gives the same") {
  for (const bool dora : {false, true}) {
    Linear linear = adapted({.rank = 2, .scale = 0.7, .dora = dora});
    const at::Tensor x = torch::randn({3, 6}, at::kDouble);
    linear->set_rounding(QuantisationSpec{});
    const at::Tensor rounded = linear(x);
    rounded.sum().backward();
    CHECK(linear->lora_A.grad().defined());
    linear->set_rounding(std::nullopt);
    linear->merge_lora();
    linear->quantise({});
    CHECK(linear->is_quantised());
    CHECK(relative_difference(linear(x), rounded) < 1e-6);
    CHECK_THROWS_WITH(linear->set_rounding(QuantisationSpec{}), Catch::Contains("quantised"));
  }
  CHECK_THROWS_WITH(adapted({.rank = 2, .dropout = 0.5})->set_rounding(QuantisationSpec{}),
                    Catch::Contains("dropout"));
}

TEST_CASE("forward_together: to the bit as one by one, rounding and keeping its input once") {
  const at::Tensor x = torch::randn({3, 6}).requires_grad_();
  std::vector<Linear> layers = {random_linear(true, at::kFloat), random_linear(false, at::kFloat),
                                random_linear(true, at::kFloat)};
  layers[1]->set_rounding(QuantisationSpec{});
  for (const bool quantised : {false, true}) {
    quantised ? layers[2]->quantise({}) : layers[2]->set_rounding(QuantisationSpec{});
    const std::vector<at::Tensor> together = forward_together(layers, x);
    REQUIRE(together.size() == 3);
    for (size_t i = 0; i < layers.size(); ++i) {
      const at::Tensor alone = layers[i]->forward(x);
      CHECK(at::equal(together[i], alone));
      CHECK(at::equal(torch::autograd::grad({together[i].sum()}, {x})[0],
                      torch::autograd::grad({alone.sum()}, {x})[0]));
    }
    CHECK(saved_together(layers) == 6 + layers[1]->saved());  // of the one that is float, x
  }
  const at::Tensor other = torch::randn({3, 6});
  CHECK(at::equal(layers[1]->forward(x, kernels::quantise_rows(other)), layers[1]->forward(other)));
  CHECK(at::equal(layers[2]->forward(x, kernels::quantise_rows(other)), layers[2]->forward(other)));
}

TEST_CASE("Linear: an adapter over integers trains, and is added in float") {
  Linear linear = random_linear(true, at::kFloat);
  linear->quantise({.weight = {4, 2, true}, .inputs = {false}});
  linear->add_lora({.rank = 2, .scale = 0.7}, at::make_generator<at::CPUGeneratorImpl>(1));
  const at::Tensor x = torch::randn({3, 6});
  const at::Tensor base = kernels::dequantise(linear->codes());
  linear(x).sum().backward();
  CHECK(linear->lora_B.grad().defined());
  const torch::NoGradGuard no_grad;
  linear->lora_B.normal_();
  CHECK(relative_difference(linear->merged_weight(),
                            at::addmm(base, linear->lora_B, linear->lora_A, 1, 0.7)) < 1e-6);
  CHECK(relative_difference(linear(x), at::linear(x, linear->merged_weight(), linear->bias)) <
        1e-5);
  CHECK_THROWS_WITH(linear->merge_lora(), Catch::Contains("quantised"));
  std::vector<std::string> names;
  for (const ModuleTensor& own : linear->own_tensors()) names.push_back(own.name);
  CHECK(names == std::vector<std::string>{"weight_packed", "weight_scale", "weight_shape", "bias",
                                          "lora_A.weight", "lora_B.weight"});
}

TEST_CASE("Linear: integers lose rows and columns as numbers do") {
  Linear linear = random_linear(true, at::kFloat);
  linear->quantise({});
  const at::Tensor whole = kernels::dequantise(linear->codes());
  const at::Tensor rows = torch::tensor({0, 3}, at::kLong);
  const at::Tensor columns = torch::tensor({1, 2, 5}, at::kLong);
  linear->keep_rows(rows);
  linear->keep_columns(columns);
  CHECK(at::equal(kernels::dequantise(linear->codes()),
                  whole.index_select(0, rows).index_select(1, columns)));
  CHECK(linear(torch::randn({2, 3})).sizes() == at::IntArrayRef{2, 2});
  Linear grouped = random_linear(true, at::kFloat);
  grouped->quantise({.weight = {4, 2, true}, .inputs = {false}});
  CHECK_THROWS_WITH(grouped->keep_columns(columns), Catch::Contains("8 bits"));
}

TEST_CASE("Linear: a misshapen input is named") {
  Linear linear = random_linear(true);
  CHECK_THROWS_WITH(linear(torch::randn({3, 7}, at::kDouble)),
                    Catch::Contains("Linear: x must be [T, 6], got [3, 7]"));
}

}  // namespace
}  // namespace hone::nn
