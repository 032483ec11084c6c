#include "hone/nn/compressed_indexer.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "hone/kernels/rotary.h"
#include "nn/modules.h"
#include "support/catch.h"

namespace hone::nn {
namespace {

constexpr int64_t kDim = 5, kNarrow = 7, kRotated = 4;
constexpr IndexerOptions kOptions = {.heads = 3, .width = 6, .chosen = 2};
const CompressorOptions kEntries{.dim = kDim, .width = 16, .ratio = 2, .overlap = true};
const auto kDouble = at::TensorOptions().dtype(at::kDouble);
const Rotary kRotary({.head_dim = kRotated});

CompressedIndexer indexer() {
  CompressedIndexer module(kOptions, kEntries, kNarrow, kDouble);
  torch::manual_seed(2);
  for (at::Tensor& buffer : module->buffers()) buffer.normal_(0.1, 0.5);
  return module;
}

std::vector<at::Tensor> choose(CompressedIndexer& module, const at::Tensor& x,
                               const at::Tensor& narrow, const std::vector<int64_t>& offsets) {
  const AttentionContext c = context(offsets, at::kDouble, kRotated);
  return module(x, narrow, c.cos, c.sin, kRotary, c, 0);
}

/// The entries that the last position of a document scores best, of those complete; of equal ones
/// the first.
at::Tensor best_of_last(CompressedIndexer& module, const at::Tensor& x, const at::Tensor& narrow) {
  const AttentionContext c = context({0, x.size(0)}, at::kDouble, kRotated);
  Compressor same(module->compressor, kDouble);
  const torch::NoGradGuard no_grad;
  same->kv_proj->weight.copy_(module->kv_proj->weight);
  same->gate_proj->weight.copy_(module->gate_proj->weight);
  same->position_bias.copy_(module->position_bias);
  same->kv_norm->weight.copy_(module->kv_norm->weight);
  const at::Tensor keys = same(x, kRotary, c, 0)[0];
  const at::Tensor q = at::mm(narrow, module->q_b_proj->weight.t()).view({x.size(0), 3, 6});
  const at::Tensor last =
      kernels::apply_rotary(q, c.cos, c.sin, kernels::RotaryPairs::kAdjoining)[-1];
  const at::Tensor w = at::mv(module->weights_proj->weight, x[-1]) / std::sqrt(3.0);
  at::Tensor scores = at::zeros({keys.size(0)}, kDouble);
  for (int64_t h = 0; h < 3; ++h) {
    scores += w[h] * (at::mv(keys, last[h]) / std::sqrt(6.0)).clamp_min(0);
  }
  return std::get<1>(scores.sort(/*stable=*/true, 0, /*descending=*/true)).slice(0, 0, 2);
}

TEST_CASE("CompressedIndexer: the best of the complete entries of a query's own document") {
  CompressedIndexer module = indexer();
  const at::Tensor x = at::randn({20, kDim}, kDouble), narrow = at::randn({20, kNarrow}, kDouble);
  const auto masks = choose(module, x, narrow, {0, 4, 20});
  REQUIRE(masks.size() == 2);
  CHECK_FALSE(masks[0].defined());  // as many entries as are chosen
  REQUIRE(masks[1].sizes() == at::IntArrayRef({16, 8}));
  const at::Tensor complete = (at::arange(1, 17, at::kLong)).floor_divide(2);
  CHECK(at::equal(masks[1].sum(1), complete.clamp_max(2)));
  for (int64_t length = 6; length <= 16; length += 5) {
    const at::Tensor best =
        best_of_last(module, x.slice(0, 4, 4 + length), narrow.slice(0, 4, 4 + length));
    CHECK(masks[1][length - 1].index_select(0, best).all().item<bool>());
  }
}

TEST_CASE("CompressedIndexer: its tensors are of the checkpoint and never trained") {
  CompressedIndexer module = indexer();
  std::vector<std::string> names;
  for (const ModuleTensor& tensor : tensors(*module)) {
    names.push_back(tensor.name);
    CHECK_FALSE(tensor.tensor.requires_grad());
    if (tensor.name == "kv_norm.weight") CHECK(tensor.start == 1);
    if (tensor.name == "position_bias") CHECK(tensor.start == 0);
  }
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"gate_proj.weight", "kv_norm.weight", "kv_proj.weight",
                                          "position_bias", "q_b_proj.weight",
                                          "scorer.weights_proj.weight"});
  CHECK(trained_numel(*module) == 0);
  CHECK(module->flops(10) == 2 * (2 * kDim * 12 + kNarrow * 18 + kDim * 3 + 18 * 10));
}

}  // namespace
}  // namespace hone::nn
