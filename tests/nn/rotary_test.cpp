#include "hone/nn/rotary.h"

#include <torch/types.h>

#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::relative_difference;

at::Tensor plain(int64_t head_dim, double theta) {
  return 1 / at::pow(theta, at::arange(0, head_dim, 2, at::kDouble) / head_dim);
}

std::pair<at::Tensor, kernels::Sequences> documents(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> offsets = {0};
  std::vector<at::Tensor> positions;
  for (const int64_t length : lengths) {
    offsets.push_back(offsets.back() + length);
    positions.push_back(at::arange(length, at::kLong));
  }
  return {at::cat(positions), kernels::Sequences::from_offsets(offsets, at::kCPU)};
}

TEST_CASE("Rotary: plain tables") {
  const Rotary rotary({.head_dim = 8, .theta = 100, .max_positions = 16});
  const auto [positions, segments] = documents({5, 3});
  const auto [cos, sin] = rotary.tables(positions, segments, at::kFloat);
  const at::Tensor angles = positions.to(at::kDouble).unsqueeze(1) * plain(8, 100);
  CHECK(relative_difference(cos, at::cat({angles, angles}, 1).cos()) < 1e-6);
  CHECK(relative_difference(sin, at::cat({angles, angles}, 1).sin()) < 1e-6);
  CHECK(rotary.tables(positions, segments, at::kBFloat16).first.scalar_type() == at::kBFloat16);
}

TEST_CASE("Rotary: linear divides every frequency") {
  const Rotary rotary({.head_dim = 16, .theta = 1e5, .type = RopeType::kLinear, .factor = 4});
  CHECK(relative_difference(rotary.frequencies(1), plain(16, 1e5) / 4) < 1e-6);
}

TEST_CASE("Rotary: llama3 keeps the fast, divides the slow, blends between") {
  const Rotary rotary({.head_dim = 128,
                       .theta = 5e5,
                       .type = RopeType::kLlama3,
                       .factor = 8,
                       .max_positions = 131072,
                       .original_positions = 8192});
  const at::Tensor got = rotary.frequencies(1).to(at::kDouble), base = plain(128, 5e5);
  const at::Tensor turns = 8192 * base / (2 * M_PI);
  const at::Tensor smooth = ((turns - 1) / 3).clamp(0, 1);
  CHECK(relative_difference(got / base, (1 - smooth) / 8 + smooth) < 1e-5);
}

TEST_CASE("Rotary: yarn on the released models") {
  // DeepSeek-V3: pairs up to 10 unchanged, from 23 divided by 40 (deepseek-architectures.md 2.2).
  const Rotary v3({.head_dim = 64,
                   .type = RopeType::kYarn,
                   .factor = 40,
                   .original_positions = 4096,
                   .mscale = 1.0,
                   .mscale_all_dim = 1.0});
  const at::Tensor ratio = plain(64, 1e4) / v3.frequencies(1).to(at::kDouble);
  CHECK(relative_difference(ratio.slice(0, 0, 11), at::ones({11})) < 1e-6);
  CHECK(relative_difference(ratio.slice(0, 23), at::full({9}, 40.0)) < 1e-6);
  CHECK(ratio[11].item<double>() > 1.01);
  CHECK(ratio[22].item<double>() < 39.9);
  CHECK(v3.attention_scale() == 1);

  // R1-0528-Qwen3-8B: transformers and vLLM disagree on attn_factor.
  RotaryOptions r1 = {.head_dim = 128,
                      .theta = 1e6,
                      .type = RopeType::kYarn,
                      .factor = 4,
                      .original_positions = 32768,
                      .attn_factor = 0.8782488562869419};
  CHECK(Rotary(r1).attention_scale() == Approx(1.1386294361));
  r1.attn_factor_rule = AttnFactorRule::kMultiplies;
  CHECK(Rotary(r1).attention_scale() == Approx(1.0).epsilon(1e-6));
  r1.attention_factor = 0.5;
  r1.attn_factor_rule = AttnFactorRule::kIgnored;
  CHECK(Rotary(r1).attention_scale() == 0.5);
}

TEST_CASE("Rotary: dynamic stretches each document by its own length") {
  const Rotary rotary(
      {.head_dim = 8, .type = RopeType::kDynamic, .factor = 2, .max_positions = 16});
  const double stretched = 1e4 * std::pow(2.0 * 40 / 16 - 1, 8.0 / 6);
  CHECK(relative_difference(rotary.frequencies(40), plain(8, stretched)) < 1e-5);
  CHECK(relative_difference(rotary.frequencies(16), plain(8, 1e4)) < 1e-6);

  const auto [forty, whole] = documents({40});
  CHECK(relative_difference(rotary.tables(forty, whole, at::kFloat).first.slice(1, 0, 4),
                            (forty.unsqueeze(1) * rotary.frequencies(40)).cos()) < 1e-6);
  const auto [packed, segments] = documents({40, 10, 20});
  const at::Tensor together = rotary.tables(packed, segments, at::kFloat).first;
  for (size_t d = 0; d < 3; ++d) {
    const int64_t begin = segments.offsets[d], end = segments.offsets[d + 1];
    const auto [alone, segment] = documents({end - begin});
    CHECK(
        at::equal(together.slice(0, begin, end), rotary.tables(alone, segment, at::kFloat).first));
  }
}

TEST_CASE("Rotary: an odd head is refused") {
  CHECK_THROWS_WITH(Rotary({.head_dim = 7}), Catch::Contains("head_dim must be even"));
}

}  // namespace
}  // namespace hone::nn
