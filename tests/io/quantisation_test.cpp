#include "hone/io/quantisation.h"

#include <cmath>

#include "support/catch.h"

namespace hone::io {
namespace {

using Catch::Contains;

Json deepseek_v3() {
  return {{"quantization_config",
           {{"quant_method", "fp8"},
            {"fmt", "e4m3"},
            {"weight_block_size", {128, 128}},
            {"activation_scheme", "dynamic"}}}};
}

std::vector<std::string> problems_of(const Json& config) {
  std::vector<std::string> problems;
  read_quantisation(config, problems);
  return problems;
}

Quantisation read(const Json& config) {
  std::vector<std::string> problems;
  const auto quantisation = read_quantisation(config, problems);
  REQUIRE(problems.empty());
  REQUIRE(quantisation);
  return *quantisation;
}

TEST_CASE("read_quantisation: the released forms") {
  Json config = deepseek_v3();
  const Quantisation v3 = read(config);
  CHECK(v3.block_rows == 128);
  CHECK_FALSE(v3.powers_of_two);
  CHECK_FALSE(v3.fp4_experts);
  config["quantization_config"]["scale_fmt"] = "ue8m0";
  CHECK(read(config).powers_of_two);
  config["expert_dtype"] = "fp4";
  CHECK(read(config).fp4_experts);
  // As transformers 5 writes it.
  const Quantisation saved = read({{"quantization_config",
                                    {{"quant_method", "fp8"},
                                     {"scale_fmt", "float"},
                                     {"expert_dtype", "fp4"},
                                     {"dequantize", false},
                                     {"modules_to_not_convert", nullptr},
                                     {"weight_block_size", {64, 32}}}}});
  CHECK_FALSE(saved.powers_of_two);
  CHECK(saved.fp4_experts);
  CHECK(saved.block_rows == 64);
  CHECK(saved.block_columns == 32);
  std::vector<std::string> none;
  CHECK_FALSE(read_quantisation({{"expert_dtype", "fp4"}}, none));
  CHECK(none.empty());
  CHECK(without_quantisation(config) == Json::object());
  CHECK(without_quantisation({{"expert_dtype", "fp8"}}).size() == 1);
}

TEST_CASE("read_quantisation: every problem, with its path") {
  CHECK(problems_of({{"quantization_config",
                      {{"quant_method", "gptq"},
                       {"fmt", "e5m2"},
                       {"weight_block_size", {128}},
                       {"activation_scheme", 3},
                       {"scale_fmt", "int8"},
                       {"bits", 4}}},
                     {"expert_dtype", "int4"}}) ==
        std::vector<std::string>{
            "/quantization_config/quant_method: \"gptq\" is not supported; supported: fp8",
            "/quantization_config/fmt: \"e5m2\" is not supported; supported: e4m3",
            "/quantization_config/activation_scheme: expected string, got 3",
            "/quantization_config/scale_fmt: \"int8\" is not supported; supported: ue8m0, float",
            "/expert_dtype: \"int4\" is not supported; supported: fp4, fp8",
            "/quantization_config/weight_block_size: expected rows and columns, got 1 numbers",
            "/quantization_config/bits: is not supported"});
  CHECK(problems_of({{"quantization_config", Json::object()}}) ==
        std::vector<std::string>{"/quantization_config/quant_method: is missing"});
  CHECK(problems_of({{"quantization_config", "fp8"}}) ==
        std::vector<std::string>{"/quantization_config: expected an object, got \"fp8\""});
  Json config = deepseek_v3();
  for (const Json& size : {Json{0, 128}, Json{128, "a"}, Json("x")}) {
    config["quantization_config"]["weight_block_size"] = size;
    CHECK(problems_of(config).size() == 1);
  }
}

TEST_CASE("block_format: which tensors hold codes") {
  const Quantisation fp8, both{.fp4_experts = true};
  CHECK(block_format({.name = "a.weight", .dtype = Dtype::F8_E4M3}, fp8)->columns == 128);
  CHECK_FALSE(block_format({.name = "a.weight", .dtype = Dtype::BF16}, fp8));
  for (const Dtype dtype : {Dtype::I8, Dtype::U8}) {
    CHECK_FALSE(block_format({.name = "a.weight", .dtype = dtype}, fp8));
    CHECK(block_format({.name = "a.weight", .dtype = dtype}, both)->fp4);
    CHECK_FALSE(block_format({.name = "a.bias", .dtype = dtype}, both));
  }
  CHECK_FALSE(block_format({.name = "a.tid2eid", .dtype = Dtype::I64}, both));
}

TEST_CASE("scale_names and shapes: 576 rows are 5 rows of blocks, the last of 64") {
  CHECK(scale_names("a.weight") == std::array<std::string, 2>{"a.weight_scale_inv", "a.scale"});
  const auto has = [](const std::string& name) { return name.starts_with("a."); };
  CHECK(scale_name("a.weight", has) == "a.weight_scale_inv");
  CHECK(scale_name("b.weight", has).empty());
  CHECK(scale_shape({576, 7168}, {}) == std::vector<int64_t>{5, 56});
  const BlockFormat fp4{.fp4 = true, .rows = 1, .columns = 32};
  CHECK(weight_shape({6, 32}, fp4) == std::vector<int64_t>{6, 64});
  CHECK(scale_shape({6, 64}, fp4) == std::vector<int64_t>{6, 2});
}

TEST_CASE("quantised_problem: what does not fit is said with names, shapes and types") {
  const TensorInfo codes{.name = "a.weight", .dtype = Dtype::F8_E4M3, .shape = {576, 256}};
  TensorInfo scales{.name = "a.weight_scale_inv", .dtype = Dtype::F32, .shape = {5, 2}};
  for (const Dtype dtype : {Dtype::F32, Dtype::BF16, Dtype::F8_E8M0}) {
    scales.dtype = dtype;
    CHECK_FALSE(quantised_problem(codes, &scales, {}));
  }
  CHECK(*quantised_problem(codes, nullptr, {}) ==
        "tensor a.weight is F8_E4M3, but its scales, a.weight_scale_inv or a.scale, are missing");
  scales.dtype = Dtype::I32;
  CHECK(*quantised_problem(codes, &scales, {}) ==
        "tensor a.weight_scale_inv is I32, but scales must be F32, BF16 or F8_E8M0");
  scales = {.name = "a.weight_scale_inv", .dtype = Dtype::F32, .shape = {4, 2}};
  CHECK(*quantised_problem(codes, &scales, {}) ==
        "tensor a.weight_scale_inv must be [5, 2] for a.weight of [576, 256] in blocks of 128x128, "
        "got [4, 2]");
  CHECK_THAT(
      *quantised_problem({.name = "a.weight", .dtype = Dtype::F8_E4M3, .shape = {8}}, &scales, {}),
      Contains("must be [out, in], got [8]"));

  const BlockFormat fp4{.fp4 = true, .rows = 1, .columns = 32};
  const TensorInfo packed{.name = "e.weight", .dtype = Dtype::I8, .shape = {3, 20}};
  CHECK(*quantised_problem(packed, &scales, fp4) ==
        "tensor e.weight holds 4-bit codes of 40 columns, which groups of 32 do not divide");
  scales = {.name = "e.scale", .dtype = Dtype::F32, .shape = {3, 1}};
  CHECK(*quantised_problem({.name = "e.weight", .dtype = Dtype::I8, .shape = {3, 16}}, &scales,
                           fp4) == "tensor e.scale is F32, but scales must be F8_E8M0");
}

TEST_CASE("decode_rows: every code") {
  uint8_t codes[256];
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
  float out[512];
  const float scales[2] = {1, 0.5};
  decode_rows({}, codes, scales, 0, 1, 256, out);
  CHECK(out[1] == 0x1p-9f);  // the smallest
  CHECK(out[7] == 7 * 0x1p-9f);
  CHECK(out[8] == 0x1p-6f);
  CHECK(out[0x38] == 1);
  CHECK(out[0x7E] == 448);
  CHECK(std::isnan(out[0x7F]));
  CHECK(std::isnan(out[0xFF]));
  CHECK(std::signbit(out[0x80]));
  CHECK(out[0xFE] == -224);  // in the second block

  const float ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2};
  decode_rows({.fp4 = true, .rows = 1, .columns = 32}, codes, ones, 0, 1, 512, out);
  CHECK(out[2 * 0x21] == 0.5);  // the low half first
  CHECK(out[2 * 0x21 + 1] == 1);
  const std::vector<float> values = {0, .5, 1, 1.5, 2, 3, 4, 6};
  for (int i = 0; i < 8; ++i) {
    CHECK(out[2 * i] == values[i]);
    CHECK(out[2 * (8 + i)] == -values[i]);
    CHECK(out[2 * (0xF8 + i)] == -2 * values[i]);  // in the last block
  }
}

}  // namespace
}  // namespace hone::io
