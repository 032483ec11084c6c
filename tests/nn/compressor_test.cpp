#include "hone/nn/compressor.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::relative_difference;

constexpr int64_t kDim = 5, kWidth = 6, kRotated = 4;
const auto kDouble = at::TensorOptions().dtype(at::kDouble);
const Rotary kRotary({.head_dim = kRotated, .theta = 100});

Compressor compressor(int64_t ratio, bool overlap) {
  return randomised(Compressor(
      CompressorOptions{.dim = kDim, .width = kWidth, .ratio = ratio, .overlap = overlap},
      kDouble));
}

/// Entry `i` of one document, a channel at a time.
at::Tensor entry(Compressor& module, const at::Tensor& x, int64_t i) {
  const CompressorOptions& o = module->options;
  const at::Tensor kv = module->kv_proj(x), gate = module->gate_proj(x);
  at::Tensor pooled = at::zeros({kWidth}, kDouble);
  for (int64_t e = 0; e < kWidth; ++e) {
    double sum = 0, weights = 0;
    const auto add = [&](int64_t window, int64_t channel) {
      for (int64_t r = 0; r < o.ratio; ++r) {
        const int64_t t = window * o.ratio + r;
        const double weight =
            std::exp((gate[t][channel] + module->position_bias[r][channel]).item<double>());
        weights += weight;
        sum += weight * kv[t][channel].item<double>();
      }
    };
    add(i, o.overlap ? kWidth + e : e);
    if (o.overlap && i > 0) add(i - 1, e);
    pooled[e] = sum / weights;
  }
  at::Tensor out = pooled * module->kv_norm->weight / (pooled.square().mean() + 1e-6).sqrt();
  const at::Tensor angles = i * o.ratio * kRotary.frequencies(0).to(at::kDouble);
  for (int64_t pair = 0; pair < kRotated / 2; ++pair) {
    const int64_t at = kWidth - kRotated + 2 * pair;
    const at::Tensor a = out[at].clone(), b = out[at + 1].clone();
    out[at] = a * angles[pair].cos() - b * angles[pair].sin();
    out[at + 1] = b * angles[pair].cos() + a * angles[pair].sin();
  }
  return out;
}

TEST_CASE("Compressor equals its formula, document by document") {
  const torch::NoGradGuard no_grad;
  for (const bool overlap : {false, true}) {
    Compressor module = compressor(3, overlap);
    const at::Tensor x = at::randn({18, kDim}, kDouble);
    const auto all = module(x, kRotary, context({0, 2, 5, 18}, at::kDouble), 0);
    REQUIRE(all.size() == 3);
    CHECK(all[0].sizes() == at::IntArrayRef({0, kWidth}));
    REQUIRE(all[1].sizes() == at::IntArrayRef({1, kWidth}));
    REQUIRE(all[2].sizes() == at::IntArrayRef({4, kWidth}));
    // Angles are float32.
    CHECK(relative_difference(all[1][0], entry(module, x.slice(0, 2), 0)) < 1e-6);
    for (int64_t i = 0; i < 4; ++i) {
      CHECK(relative_difference(all[2][i], entry(module, x.slice(0, 5), i)) < 1e-6);
    }
  }
}

TEST_CASE("Compressor: gradient") {
  Compressor module = compressor(2, true);
  const auto f = [&](const std::vector<at::Tensor>& in) {
    return at::cat(module(in[0], kRotary, context({0, 3, 8}, at::kDouble), 0));
  };
  CHECK(test::gradient_error(f, {at::randn({8, kDim}, kDouble)}) == "");
}

TEST_CASE("Compressor: from a cache it gives what it gives without, from any prefix") {
  const torch::NoGradGuard no_grad;
  for (const bool overlap : {false, true}) {
    for (const int64_t ratio : {3, 4}) {  // of which one divides the width
      Compressor module = compressor(ratio, overlap);
      CHECK(Compression::cache_shape(module->options) == CacheShape{{1, 2}, {2, overlap ? 12 : 6}});
      const at::Tensor x = at::randn({23, kDim}, kDouble), other = at::randn({23, kDim}, kDouble);
      const at::Tensor wanted = module(x, kRotary, context({0, 23}, at::kDouble), 0)[0];
      LayerCache cache = empty_cache(Compression::cache_shape(module->options), 2, 25, kDouble);
      const auto pass = [&](const at::Tensor& x, int64_t begin, int64_t end) {
        cache.places = {.first_row = 1,
                        .past = {begin},
                        .slots = at::arange(25 + begin, 25 + end, at::kLong),
                        .lengths = torch::tensor({end}, at::kLong)};
        AttentionContext part = context({0, end - begin}, at::kDouble);
        part.cache = &cache;
        return module(x.slice(0, begin, end), kRotary, part, 0)[0];
      };
      int64_t begin = 0;
      for (const int64_t end : {1, 2, 9, 10, 11, 12}) {
        CHECK(relative_difference(pass(x, begin, end), wanted.slice(0, 0, end / ratio)) < 1e-13);
        begin = end;
      }
      pass(other, 12, 23);
      pass(x, 10, 12);  // back to a prefix of 10
      CHECK(relative_difference(pass(x, 12, 23), wanted) < 1e-13);
    }
  }
}

TEST_CASE("Compressor: its tensors, and where they begin") {
  std::vector<std::string> names;
  for (const ModuleTensor& tensor : tensors(*compressor(3, true))) {
    names.push_back(tensor.name);
    CHECK(tensor.role == Role::kBase);
    if (tensor.name == "position_bias") {
      CHECK(tensor.start == 0);
      CHECK(tensor.tensor.sizes() == at::IntArrayRef({3, 2 * kWidth}));
    }
  }
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"gate_proj.weight", "kv_norm.weight", "kv_proj.weight",
                                          "position_bias"});
}

}  // namespace
}  // namespace hone::nn
