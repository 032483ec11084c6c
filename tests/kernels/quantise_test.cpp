#include "hone/kernels/quantise.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <limits>

#include "support/catch.h"

namespace hone::kernels {
namespace {

TEST_CASE("quantise_rows: half to even, rows of zeros, numbers that are not finite") {
  const at::Tensor x = torch::tensor({{127.f, 0.5f, 1.5f, -2.5f}, {0.f, 0.f, 0.f, 0.f}});
  const Int8Rows rows = quantise_rows(x);
  CHECK(at::equal(rows.values, torch::tensor({{127, 0, 2, -2}, {0, 0, 0, 0}}, at::kChar)));
  CHECK(at::equal(rows.scales, at::ones(2)));

  const at::Tensor odd = torch::tensor({{1.f, NAN}, {std::numeric_limits<float>::infinity(), 0.f}});
  const Int8Rows none = quantise_rows(odd);
  CHECK(none.scales.isnan().all().item<bool>());
  CHECK(at::equal(none.values, at::zeros({2, 2}, at::kChar)));
}

TEST_CASE("quantise_rows: a divisor of 127.5 uses -128 and clips 127.5") {
  const Int8Rows rows = quantise_rows(torch::tensor({{-127.5f, 127.5f, 64.f}}), 127.5);
  CHECK(at::equal(rows.values, torch::tensor({{-128, 127, 64}}, at::kChar)));
}

TEST_CASE("quantise_weight: within half a step, of every format") {
  torch::manual_seed(3);
  const at::Tensor weight = at::randn({5, 24});
  for (const WeightFormat& format :
       {WeightFormat{}, WeightFormat{8, 0, true}, WeightFormat{4, 8, true}, WeightFormat{8, 6}}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const QuantisedWeight codes = quantise_weight(weight, format, type);
      CHECK(codes.scales.scalar_type() == type);
      const at::Tensor steps =
          codes.scales.to(at::kFloat).repeat_interleave(24 / codes.scales.size(1), 1);
      // A scale that bfloat16 rounds down clips the largest number by up to its last half bit.
      const double clipped = type == at::kFloat ? 0.501 : 0.501 + 127.0 / 256;
      CHECK(((dequantise(codes) - weight).abs() <= clipped * steps).all().item<bool>());
    }
  }
}

TEST_CASE("quantise_weight: words hold codes lowest first, offset by 8") {
  const at::Tensor row = at::arange(-8, 8, at::kFloat).clamp_min(-7).view({1, 16});
  const QuantisedWeight codes = quantise_weight(row, {4, 0, true});
  // compressed-tensors packs -8..7 as 0x76543210, 0xfedcba98; -7 is here in place of -8.
  CHECK(codes.codes[0][0].item<int32_t>() == 0x76543211);
  CHECK(static_cast<uint32_t>(codes.codes[0][1].item<int32_t>()) == 0xfedcba98u);
  CHECK(at::equal(dequantise(codes), row));
}

TEST_CASE("quantise_weight: what it refuses") {
  CHECK_THROWS_WITH(quantise_weight(at::ones({2, 10}), {4, 4, true}),
                    Catch::Contains("groups of 4 do not divide 10 columns"));
  CHECK_THROWS(quantise_weight(at::ones({2, 8}), {4, 0, false}));
}

}  // namespace
}  // namespace hone::kernels
