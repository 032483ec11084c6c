#include "hone/io/quantised_tensors.h"

#include <torch/types.h>

#include <cmath>

#include "hone/core/error.h"
#include "support/catch.h"

namespace hone::io {
namespace {

using Catch::Contains;

constexpr BlockFormat kSmall{.rows = 4, .columns = 8};
constexpr BlockFormat kPowers{.rows = 4, .columns = 8, .powers_of_two = true};
constexpr BlockFormat kFp4{.fp4 = true, .rows = 1, .columns = 32, .powers_of_two = true};

at::Tensor random(at::IntArrayRef shape, double size = 1) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(3);
  return at::randn(shape, generator, at::kFloat) * size;
}

/// The value of an e4m3 code, by its definition.
double e4m3(int code) {
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  if ((code & 127) == 127) return NAN;
  const double size = exponent == 0 ? mantissa / 8.0 * std::pow(2.0, -6)
                                    : (1 + mantissa / 8.0) * std::pow(2.0, exponent - 7);
  return code & 128 ? -size : size;
}

/// W[i, j] = value * scale of its block, in float32, as a plain loop.
at::Tensor reference(const at::Tensor& codes, const at::Tensor& scales, int64_t rows,
                     int64_t columns) {
  const at::Tensor bytes = codes.view(at::kByte);
  at::Tensor out = at::empty(codes.sizes(), at::kFloat);
  for (int64_t i = 0; i < out.size(0); ++i) {
    for (int64_t j = 0; j < out.size(1); ++j) {
      const auto value = static_cast<float>(e4m3(bytes[i][j].item<uint8_t>()));
      out[i][j] = value * scales[i / rows][j / columns].item<float>();
    }
  }
  return out;
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && at::allclose(a, b, 0, 0, /*equal_nan=*/true);
}

at::Tensor quantised(const at::Tensor& weight, const at::Tensor& scales, const BlockFormat& format,
                     at::ScalarType type = at::kFloat8_e4m3fn) {
  return encoded(weight, scales, format, 0, type);
}

TEST_CASE("dequantise: equal to a plain loop, ragged blocks and NaN included, rounded once") {
  const at::Tensor codes =
      at::arange(10 * 19).to(at::kByte).view(at::kFloat8_e4m3fn).view({10, 19});
  const at::Tensor scales = random({3, 3}).abs() + 0.01;
  const at::Tensor wanted = reference(codes, scales, 4, 8);
  CHECK(same(dequantise(codes, scales, kSmall, at::kFloat), wanted));
  CHECK(wanted.isnan().sum().item<int64_t>() == 1);  // 0x7F is among 190 codes
  CHECK(same(dequantise(codes, scales, kSmall, at::kBFloat16).to(at::kFloat),
             wanted.to(at::kBFloat16).to(at::kFloat)));
  const at::Tensor half = scales.to(at::kBFloat16);
  CHECK(same(dequantise(codes, half, kSmall, at::kFloat),
             reference(codes, half.to(at::kFloat), 4, 8)));
}

TEST_CASE("dequantise: scales of e8m0 are powers of two, 255 NaN") {
  const at::Tensor codes = at::full({8, 16}, 0x38, at::kByte).view(at::kFloat8_e4m3fn);  // ones
  const at::Tensor bytes = torch::tensor({127, 120, 130, 255}, at::kByte).view({2, 2});
  const at::Tensor out = dequantise(codes, bytes.view(at::kFloat8_e8m0fnu), kSmall, at::kFloat);
  CHECK(out[0][0].item<float>() == 1);
  CHECK(out[3][8].item<float>() == 0x1p-7f);
  CHECK(out[4][7].item<float>() == 8);
  CHECK(out.slice(0, 4).slice(1, 8).isnan().all().item<bool>());
}

TEST_CASE("dequantise, encoded: in slices what they are whole") {
  // More than the numbers that are worked on at once.
  const at::Tensor weight = random({700, 2000});
  const at::Tensor scales = block_scales(weight, {}, at::kFloat);
  const at::Tensor codes = quantised(weight, scales, {});
  const at::Tensor out = dequantise(codes, scales, {}, at::kFloat);
  const at::Tensor each =
      scales.repeat_interleave(128, 0).slice(0, 0, 700).repeat_interleave(128, 1).slice(1, 0, 2000);
  CHECK(at::equal(out, codes.to(at::kFloat) * each));
  const at::Tensor part = encoded(weight.slice(0, 300), scales, {}, 300, at::kFloat8_e4m3fn);
  CHECK(at::equal(part.view(at::kByte), codes.slice(0, 300).view(at::kByte)));
}

TEST_CASE("by_rows: cut at multiples, in order, all of them") {
  std::vector<std::pair<int64_t, int64_t>> seen;
  by_rows(1000, 2000, 128, [&](int64_t begin, int64_t end) { seen.emplace_back(begin, end); });
  CHECK(seen == std::vector<std::pair<int64_t, int64_t>>{{0, 512}, {512, 1000}});
  seen.clear();
  by_rows(1000, 2000, 1, [&](int64_t begin, int64_t end) { seen.emplace_back(begin, end); });
  CHECK(seen.front() == std::pair<int64_t, int64_t>{0, 524});
  seen.clear();
  by_rows(0, 10, 1, [&](int64_t begin, int64_t end) { seen.emplace_back(begin, end); });
  CHECK(seen.empty());
}

TEST_CASE("block_scales: the largest magnitude over 448, 1 for zeros, ragged blocks") {
  at::Tensor weight = random({10, 19});
  weight.slice(0, 4, 8).slice(1, 0, 8).zero_();
  const at::Tensor scales = block_scales(weight, kSmall, at::kFloat);
  REQUIRE(scales.sizes() == at::IntArrayRef({3, 3}));
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 3; ++j) {
      const at::Tensor block = weight.slice(0, 4 * i, std::min<int64_t>(4 * i + 4, 10))
                                   .slice(1, 8 * j, std::min<int64_t>(8 * j + 8, 19));
      const float wanted = i == 1 && j == 0 ? 1 : block.abs().max().item<float>() / 448;
      CHECK(scales[i][j].item<float>() == wanted);
    }
  }
  weight[0][0] = std::numeric_limits<float>::infinity();
  weight[0][1] = NAN;
  const at::Tensor codes = quantised(weight, block_scales(weight, kSmall, at::kFloat), kSmall);
  CHECK(codes.to(at::kFloat).isnan().sum().item<int64_t>() == 2);
}

TEST_CASE("block_scales: powers of two are the next above, exactly, so that nothing overflows") {
  at::Tensor weight = at::zeros({16, 8});
  const std::vector<float> largest = {448, 448.5, 0x1p-30f * 448, 1e-45f};
  const std::vector<float> wanted = {1, 2, 0x1p-30f, 1};
  for (int64_t i = 0; i < 4; ++i) weight[4 * i][3] = largest[i];
  for (const at::ScalarType type : {at::kFloat, at::kFloat8_e8m0fnu}) {
    const at::Tensor scales = block_scales(weight, kPowers, type);
    CHECK(scales.scalar_type() == type);
    for (int64_t i = 0; i < 4; ++i) CHECK(scales.to(at::kFloat)[i][0].item<float>() == wanted[i]);
  }
  // The type alone wants them too.
  CHECK(block_scales(weight, kSmall, at::kFloat8_e8m0fnu).to(at::kFloat)[1][0].item<float>() == 2);
}

TEST_CASE("encoded: within half a step of its block's scale, whatever the scales' type") {
  const at::Tensor weight = random({10, 19}, 0.02);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kFloat8_e8m0fnu}) {
    for (const BlockFormat& format : {kSmall, kPowers}) {
      const at::Tensor scales = block_scales(weight, format, type);
      const at::Tensor back =
          dequantise(quantised(weight, scales, format), scales, format, at::kFloat);
      // e4m3 has 3 bits behind the leading one, and steps of 2^-9 below 2^-6.
      const at::Tensor each = scales.to(at::kFloat)
                                  .repeat_interleave(4, 0)
                                  .slice(0, 0, 10)
                                  .repeat_interleave(8, 1)
                                  .slice(1, 0, 19);
      const at::Tensor allowed = at::maximum(weight.abs() * 0x1p-4, each * 0x1p-10) * 1.001;
      CHECK(((back - weight).abs() <= allowed).all().item<bool>());
    }
  }
}

TEST_CASE("encoded: what was decoded by the same scales has the same codes again") {
  const at::Tensor weight = random({8, 16});
  const at::Tensor scales = block_scales(weight, kSmall, at::kFloat);
  const at::Tensor codes = quantised(weight, scales, kSmall);
  const at::Tensor again = quantised(dequantise(codes, scales, kSmall, at::kFloat), scales, kSmall);
  CHECK(at::equal(again.view(at::kByte), codes.view(at::kByte)));
}

TEST_CASE("FP4: nearest of eight values, ties to even codes, two in a byte") {
  const std::vector<double> values = {0, .5, 1, 1.5, 2, 3, 4, 6};
  const auto nearest = [&](double x) {
    size_t best = 0;
    for (size_t i = 1; i < 8; ++i) {
      const double near = std::abs(std::abs(x) - values[i]) - std::abs(std::abs(x) - values[best]);
      if (near < 0 || (near == 0 && i % 2 == 0)) best = i;
    }
    return std::copysign(values[best], x);
  };
  at::Tensor weight = random({3, 64}, 2).clamp(-6, 6);
  weight[0].copy_(at::arange(-16, 16, 0.5));  // with every tie, and -0
  weight[0].clamp_(-6, 6);
  const at::Tensor scales = block_scales(weight, kFp4, at::kFloat8_e8m0fnu);
  for (const at::ScalarType type : {at::kChar, at::kByte}) {
    const at::Tensor codes = quantised(weight, scales, kFp4, type);
    CHECK(codes.scalar_type() == type);
    CHECK(codes.sizes() == at::IntArrayRef({3, 32}));
    const at::Tensor back = dequantise(codes, scales, kFp4, at::kFloat);
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t j = 0; j < 64; ++j) {
        const float scale = scales.to(at::kFloat)[i][j / 32].item<float>();
        CHECK(back[i][j].item<float>() == nearest(weight[i][j].item<float>() / scale) * scale);
      }
    }
  }
  weight[1][40] = NAN;
  const at::Tensor bad = block_scales(weight, kFp4, at::kFloat8_e8m0fnu).to(at::kFloat);
  CHECK(bad.isnan().sum().item<int64_t>() == 1);
  CHECK(std::isnan(bad[1][1].item<float>()));
}

TEST_CASE("as_numbers: pairs become weights, the rest stays; what does not fit is named") {
  const Json config = {{"quantization_config", {{"quant_method", "fp8"}}}};
  const at::Tensor weight = random({8, 16}), norm = at::ones({4});
  const at::Tensor scales = block_scales(weight, {}, at::kFloat);
  const at::Tensor codes = quantised(weight, scales, {});
  const NamedTensors pair = {
      {"m.weight_scale_inv", scales}, {"m.weight", codes}, {"norm.weight", norm}};
  const NamedTensors numbers = as_numbers(pair, config, at::kBFloat16, "here");
  REQUIRE(numbers.size() == 2);
  CHECK(numbers[0].first == "m.weight");
  CHECK(at::equal(numbers[0].second, dequantise(codes, scales, {}, at::kBFloat16)));
  CHECK(numbers[1].second.is_same(norm));
  CHECK(as_numbers(pair, Json::object(), at::kBFloat16, "here").size() == 3);
  CHECK_THROWS_WITH(as_numbers({{"m.weight", codes}}, config, at::kFloat, "here"),
                    Contains("here") && Contains("m.weight_scale_inv or m.scale, are missing"));
}

}  // namespace
}  // namespace hone::io
