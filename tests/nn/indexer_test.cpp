#include "hone/nn/indexer.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "hone/nn/checkpointing.h"
#include "hone/nn/latent_attention.h"
#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::relative_difference;

constexpr int64_t kDim = 12, kNarrow = 7, kRotary = 4;
constexpr IndexerOptions kOptions = {.heads = 3, .width = 6, .chosen = 3};
const auto kDouble = at::TensorOptions().dtype(at::kDouble);

Indexer indexer() {
  Indexer module(kOptions, kDim, kNarrow, kDouble);
  torch::manual_seed(2);
  for (at::Tensor& buffer : module->buffers()) buffer.normal_(0.1, 0.5);
  return module;
}

LatentAttention attention(const IndexerOptions& index) {
  LatentAttention module = randomised(LatentAttention(LatentAttentionOptions{.dim = kDim,
                                                                             .num_heads = 3,
                                                                             .query_rank = kNarrow,
                                                                             .latent = 8,
                                                                             .plain = 5,
                                                                             .rotary = kRotary,
                                                                             .value = 6,
                                                                             .scale = 0.3,
                                                                             .index = index},
                                                      kDouble));
  for (at::Tensor& buffer : module->buffers()) buffer.normal_(0.1, 0.5);
  return module;
}

/// The scores of the last of the positions for each, one number after the other.
std::vector<double> last_scores(Indexer& module, const at::Tensor& x, const at::Tensor& narrow,
                                const AttentionContext& c) {
  const int64_t tokens = x.size(0), last = tokens - 1;
  const auto rotated = [&](const at::Tensor& v, int64_t t) {
    at::Tensor out = v.clone();
    for (int64_t i = 0; i < kRotary / 2; ++i) {
      const at::Tensor a = v[i], b = v[i + kRotary / 2], cos = c.cos[t][i], sin = c.sin[t][i];
      out[i] = a * cos - b * sin;
      out[i + kRotary / 2] = b * cos + a * sin;
    }
    return out;
  };
  const at::Tensor q = at::mv(module->wq_b->weight, narrow[last]).view({kOptions.heads, -1});
  const at::Tensor w = at::mv(module->weights_proj->weight, x[last]) / std::sqrt(3.0);
  std::vector<double> scores;
  for (int64_t t = 0; t < tokens; ++t) {
    const at::Tensor raw = at::mv(module->wk->weight, x[t]);
    const at::Tensor normal = (raw - raw.mean()) / (raw.var(false) + 1e-6).sqrt();
    const at::Tensor k = rotated(normal * module->k_norm->weight + module->k_norm->bias, t);
    double sum = 0;
    for (int64_t h = 0; h < kOptions.heads; ++h) {
      const double product = at::dot(rotated(q[h], last), k).item<double>() / std::sqrt(6.0);
      sum += w[h].item<double>() * std::max(0.0, product);
    }
    scores.push_back(sum);
  }
  return scores;
}

TEST_CASE("Indexer: the best positions of a query's own document and past") {
  Indexer module = indexer();
  const at::Tensor x = at::randn({11, kDim}, kDouble), narrow = at::randn({11, kNarrow}, kDouble);
  const auto masks = module(x, narrow, context({0, 2, 11}, at::kDouble, kRotary));
  REQUIRE(masks.size() == 2);
  CHECK(at::equal(masks[0], at::ones({2, 2}, at::kBool).tril()));
  CHECK(masks[1].sizes() == at::IntArrayRef({9, 9}));
  CHECK_FALSE(masks[1].triu(1).any().item<bool>());
  CHECK(at::equal(masks[1].sum(1), at::arange(1, 10, at::kLong).clamp_max(3)));
  const AttentionContext alone = context({0, 9}, at::kDouble, kRotary);
  const std::vector<double> scores = last_scores(module, x.slice(0, 2), narrow.slice(0, 2), alone);
  const at::Tensor best = std::get<1>(torch::tensor(scores, at::kDouble).topk(3));
  CHECK(masks[1][8].index_select(0, best).all().item<bool>());
  CHECK(module(x.slice(0, 0, 3), narrow.slice(0, 0, 3), context({0, 3}, at::kDouble, kRotary))
            .empty());
}

TEST_CASE("Indexer: its tensors are of the checkpoint, and train where it learns") {
  Indexer module = indexer();
  std::vector<std::string> names;
  for (const ModuleTensor& tensor : tensors(*module)) {
    names.push_back(tensor.name);
    CHECK(tensor.role == Role::kBase);
  }
  CHECK(names == std::vector<std::string>{"wq_b.weight", "wk.weight", "k_norm.weight",
                                          "k_norm.bias", "weights_proj.weight"});
  CHECK(module->parameters().empty());  // so that nobody else trains them
  CHECK(trained_numel(*module) == 0);
  module->set_learning(IndexLearning::kSparse);
  CHECK(trained_numel(*module) == kNarrow * 18 + kDim * 6 + 6 + 6 + kDim * 3);
  module->set_learning(IndexLearning::kOff);
  CHECK(trained_numel(*module) == 0);
  CHECK(module->flops(10) == 2 * (kNarrow * 18 + kDim * 6 + kDim * 3 + 18 * 10));
}

TEST_CASE("LatentAttention with an indexer: documents alone, gradient, and from a cache") {
  LatentAttention module = attention(kOptions);
  const at::Tensor x = at::randn({9, kDim}, kDouble);
  const AttentionContext packed = context({0, 2, 9}, at::kDouble, kRotary);
  const AttentionContext whole = context({0, 7}, at::kDouble, kRotary);
  const at::Tensor later = x.slice(0, 2);
  const at::Tensor wanted = module(later, whole);
  CHECK(relative_difference(module(x, packed).slice(0, 2), wanted) < 1e-13);
  const auto f = [&](const std::vector<at::Tensor>& in) { return module(in[0], packed); };
  CHECK(test::gradient_error(f, {x}) == "");

  const torch::NoGradGuard no_grad;
  CHECK(module->cache_shape() == CacheShape{{1, 12}, {1, 6}});
  CHECK(relative_difference(in_passes(module, later, whole, {2, 3, 4, 7}), wanted) < 1e-12);
}

/// Gradients of the indexer's tensors by its loss over two documents.
std::vector<at::Tensor> learned(IndexLearning learning, bool again) {
  LatentAttention module = attention(kOptions);
  module->indexer->set_learning(learning);
  torch::manual_seed(4);
  const at::Tensor x = at::randn({9, kDim}, kDouble).requires_grad_();
  const AttentionContext packed = context({0, 2, 9}, at::kDouble, kRotary);
  const Block block = [&](const at::Tensor& in) { return module(in, packed); };
  const at::Tensor y = again ? checkpoint(block, x) : block(x);
  const auto [loss, queries] = module->indexer->take_loss();
  CHECK(queries == 9);
  CHECK(loss.item<double>() > 0);
  loss.backward();
  CHECK_FALSE(x.grad().defined());
  for (const at::Tensor& parameter : module->parameters()) CHECK_FALSE(parameter.grad().defined());
  y.sum().backward();
  CHECK(x.grad().abs().max().item<double>() > 0);
  CHECK(module->indexer->take_loss().second == 0);  // a second run adds none
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& tensor : module->indexer->buffers()) gradients.push_back(tensor.grad());
  return gradients;
}

TEST_CASE("Indexer: it learns by a loss of its own, alike in a recomputed block") {
  for (const IndexLearning learning : {IndexLearning::kWarmUp, IndexLearning::kSparse}) {
    const auto once = learned(learning, false), again = learned(learning, true);
    REQUIRE(once.size() == 5);
    for (size_t i = 0; i < once.size(); ++i) {
      CHECK(once[i].abs().max().item<double>() > 0);
      CHECK(at::equal(once[i], again[i]));
    }
  }
}

TEST_CASE("Indexer: in a warm-up training sees all positions, and scoring what it chooses") {
  LatentAttention module = attention(kOptions), dense = attention({});
  const at::Tensor x = at::randn({9, kDim}, kDouble);
  const AttentionContext c = context({0, 9}, at::kDouble, kRotary);
  const at::Tensor chosen = module(x, c);
  module->indexer->set_learning(IndexLearning::kSparse);
  CHECK(at::equal(module(x, c), chosen));
  module->indexer->set_learning(IndexLearning::kWarmUp);
  CHECK(at::equal(module(x, c), dense(x, c)));
  module->eval();
  CHECK(at::equal(module(x, c), chosen));
  module->train();
  const torch::NoGradGuard no_grad;
  CHECK(at::equal(module(x, c), chosen));
}

TEST_CASE("LatentAttention with an indexer that chooses all is dense to the bit") {
  LatentAttention module = attention({.heads = 3, .width = 6, .chosen = 9});
  LatentAttention dense = attention({});
  const at::Tensor x = at::randn({9, kDim}, kDouble);
  const AttentionContext c = context({0, 9}, at::kDouble, kRotary);
  CHECK(at::equal(module(x, c), dense(x, c)));
}

}  // namespace
}  // namespace hone::nn
