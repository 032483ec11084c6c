#include "hone/model/sharing/choice.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <vector>

#include "hone/model/sharing/conversion.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

using test::random_input;

Decoder decoder_of(int64_t layers) {
  Json config = test::small_config();
  config["num_hidden_layers"] = layers;
  Decoder decoder = test::small_decoder(config);
  const torch::NoGradGuard no_grad;
  for (const at::Tensor& tensor : decoder->parameters()) tensor.mul_(tensor.dim() > 1 ? 10 : 1);
  return decoder;
}

TEST_CASE("A pair's divergence is that of the model in which it shares, which is left as it was") {
  Decoder decoder = decoder_of(6);
  const std::vector<DecoderInput> text = {random_input({9, 5}, 40), random_input({6}, 40)};
  std::vector<at::Tensor> before;
  for (const at::Tensor& tensor : decoder->parameters()) before.push_back(tensor.clone());
  const auto measured = pair_divergences(decoder, text, SharedStart::kAligned);
  CHECK(decoder->is_training());
  const std::vector<at::Tensor> after = decoder->parameters();
  for (size_t i = 0; i < after.size(); ++i) CHECK(after[i].equal(before[i]));

  REQUIRE(measured.size() == 2);
  const torch::NoGradGuard no_grad;
  for (const PairDivergence& pair : measured) {
    Decoder shared = decoder_of(6);
    share_weights(shared, {{pair.first, pair.first + 1}});
    double sum = 0;
    for (const DecoderInput& batch : text) {
      const at::Tensor p = decoder->logits(decoder->hidden(batch)).log_softmax(-1);
      const at::Tensor q = shared->logits(shared->hidden(batch)).log_softmax(-1);
      sum += (p.exp() * (p - q)).sum().item<double>();
    }
    CHECK(pair.divergence == Approx(sum / 20).epsilon(1e-4));  // sums of float32
    CHECK(pair.divergence > 1e-3);
  }
  CHECK(measured[0].first == 2);
  CHECK(measured[1].first == 3);
}

TEST_CASE("The chosen pairs are those of the least sum, and none meet") {
  std::vector<PairDivergence> measured;
  torch::manual_seed(1);
  for (int64_t first = 2; first < 10; ++first) {
    measured.push_back({first, torch::rand({1}).item<double>()});
  }
  CHECK(most_pairs(12) == 4);
  CHECK(most_pairs(4) == 0);
  CHECK(most_pairs(2) == 0);
  for (int64_t pairs = 1; pairs <= 4; ++pairs) {
    double least = 1e9;
    for (int chosen = 0; chosen < 256; ++chosen) {
      if (__builtin_popcount(chosen) != pairs || (chosen & (chosen >> 1)) != 0) continue;
      double sum = 0;
      for (int i = 0; i < 8; ++i) sum += (chosen >> i & 1) != 0 ? measured[i].divergence : 0;
      least = std::min(least, sum);
    }
    const LayerGroups groups = choose_pairs(measured, pairs);
    CHECK(std::ssize(groups) == pairs);
    CHECK(group_problems(groups, 11).empty());
    double sum = 0;
    for (const auto& group : groups) {
      CHECK(group[1] == group[0] + 1);
      sum += measured[group[0] - 2].divergence;
    }
    CHECK(sum == Approx(least));
  }
}

}  // namespace
}  // namespace hone::model
