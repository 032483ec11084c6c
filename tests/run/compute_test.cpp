#include "hone/run/compute.h"

#include <cstdlib>
#include <string>

#include "hone/kernels/product.h"
#include "hone/machine/isa.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::run {
namespace {

const machine::DevicePlan kCpu;

Json config_of(int64_t hidden, int64_t intermediate) {
  Json config = model::test::small_config();
  config["hidden_size"] = hidden;
  config["intermediate_size"] = intermediate;
  return config;
}

TEST_CASE("compute: what is asked for is taken") {
  Config config;
  for (const Compute asked : {Compute::kFloat32, Compute::kBfloat16Products}) {
    config.compute = asked;
    CHECK(choose_compute(config, {}, kCpu).compute == asked);
  }
  CHECK(choose_compute(config, {}, kCpu).text() == "products in bfloat16 (compute)");
  const machine::DevicePlan gpu{at::Device(at::kCUDA, 0), at::kBFloat16};
  CHECK(choose_compute(config, {}, gpu).compute == Compute::kAuto);
  CHECK(choose_compute(config, {}, gpu).text() == "products of the weights' type on a GPU");
}

TEST_CASE("compute: auto takes bfloat16 where it was timed to be faster by a quarter") {
  Config config;
  config.data.tokens_per_batch = 256;
  const ComputeChoice choice = choose_compute(config, config_of(512, 1024), kCpu);
  const double factor = std::atof(choice.reason.c_str());
  INFO(choice.text());
  CHECK(factor > 0);
  const bool faster = choice.compute == Compute::kBfloat16Products;
  CHECK(faster == (factor >= 1 / kMostOfFloat32 - 0.005));  // of the printed figure
  // Rounding operands that the CPU cannot multiply takes longer than not to.
  if (!machine::multiplies_bfloat16()) CHECK_FALSE(faster);
  CHECK(kernels::product_type() == kernels::ProductType::kFloat32);
}

TEST_CASE("compute: auto leaves small products in float32, untimed") {
  Config config;
  config.data.tokens_per_batch = 255;
  const ComputeChoice choice = choose_compute(config, config_of(256, 256), kCpu);
  CHECK(choice.compute == Compute::kFloat32);
  CHECK(choice.reason == "too small to gain by bfloat16");
}

TEST_CASE("compute: rounded operands take memory") {
  const auto bytes = [](Compute compute, int64_t vocabulary, int64_t tokens) {
    Json config = config_of(512, 1024);
    config["vocab_size"] = vocabulary;
    return ComputeChoice{compute, ""}.operand_bytes(
        model::DecoderConfig::from_json(config, "config.json"), tokens);
  };
  CHECK(bytes(Compute::kFloat32, 32000, 2048) == 0);
  // The MLP's: gradients of its channels, and its weight or its input.
  CHECK(bytes(Compute::kBfloat16Products, 100, 2048) == 2 * (1024 * 2048 + 512 * 2048));
  // The head's: a chunk of logits, 64 MiB in float32, and its weight.
  CHECK(bytes(Compute::kBfloat16Products, 32000, 2048) == 2 * 32000 * (524 + 512));
}

TEST_CASE("compute: a choice applies to the products") {
  ComputeChoice{Compute::kBfloat16Products, ""}.apply();
  CHECK(kernels::product_type() == kernels::ProductType::kBfloat16);
  ComputeChoice{Compute::kFloat32, ""}.apply();
  CHECK(kernels::product_type() == kernels::ProductType::kFloat32);
}

TEST_CASE("compute: a run that goes on keeps what it began with") {
  const auto resumed = [](const Json& manifest) { return resumed_compute(manifest, kCpu).compute; };
  CHECK(resumed({{"compute", "bfloat16_products"}}) == Compute::kBfloat16Products);
  CHECK(resumed({{"compute", "float32"}}) == Compute::kFloat32);
  CHECK(resumed(Json::object()) == Compute::kFloat32);  // of a version without the choice
}

TEST_CASE("compute: a configuration without the key computed in float32") {
  const auto completed = [](Json then, const Json& now) {
    complete_compute(then, now);
    return then.at("compute");
  };
  CHECK(completed(Json::object(), {{"compute", "auto"}}) == "auto");
  CHECK(completed(Json::object(), {{"compute", "bfloat16_products"}}) == "float32");
  CHECK(completed(Json::object(), Json()) == "float32");
  CHECK(completed({{"compute", "auto"}}, {{"compute", "float32"}}) == "auto");
}

}  // namespace
}  // namespace hone::run
