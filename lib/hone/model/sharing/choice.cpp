#include "hone/model/sharing/choice.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <limits>

#include "hone/kernels/divergence.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "hone/model/sharing/conversion.h"

namespace hone::model {
namespace {

/// Nats a token of `text` from the hidden states before to those of now.
double divergence_of(Decoder& decoder, const std::vector<DecoderInput>& text,
                     const std::vector<at::Tensor>& before) {
  const int64_t rows = kernels::chunk_rows(decoder->config().vocab_size, decoder->device());
  double sum = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const at::Tensor now = decoder->hidden(text[i]);
    for (int64_t begin = 0; begin < now.size(0); begin += rows) {
      const auto logits = [&](const at::Tensor& hidden) {
        return decoder->logits(hidden.slice(0, begin, begin + rows));
      };
      at::Tensor wanted = logits(before[i]);
      sum += kernels::divergence(logits(now), wanted, {}, {}).sum().item<double>();
    }
    tokens += now.size(0);
  }
  return sum / static_cast<double>(tokens);
}

}  // namespace

int64_t most_pairs(int64_t layers) { return std::max<int64_t>(0, (layers - kFirstShared - 1) / 2); }

std::vector<PairDivergence> pair_divergences(Decoder& decoder,
                                             const std::vector<DecoderInput>& text,
                                             SharedStart start) {
  const torch::NoGradGuard no_grad;
  const bool training = decoder->is_training();
  decoder->eval();
  std::vector<at::Tensor> before;
  for (const DecoderInput& batch : text) before.push_back(decoder->hidden(batch));
  std::vector<PairDivergence> measured;
  for (int64_t first = kFirstShared; first + 2 < std::ssize(decoder->layers); ++first) {
    std::vector<std::pair<at::Tensor, at::Tensor>> kept;
    for (const int64_t layer : {first, first + 1}) {
      for (const at::Tensor& tensor : decoder->layers[layer]->parameters()) {
        kept.emplace_back(tensor, tensor.clone());
      }
    }
    make_alike(decoder, {first, first + 1}, start);
    measured.push_back({first, divergence_of(decoder, text, before)});
    for (const auto& [tensor, value] : kept) tensor.copy_(value);
  }
  decoder->train(training);
  return measured;
}

LayerGroups choose_pairs(const std::vector<PairDivergence>& measured, int64_t pairs) {
  // least[n][p]: of the first n candidates, p pairs that do not meet; at n - 1 or with the n-th.
  const int64_t count = std::ssize(measured);
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<std::vector<double>> least(count + 1, std::vector<double>(pairs + 1, infinity));
  for (auto& row : least) row[0] = 0;
  const auto with = [&](int64_t n, int64_t p) {
    return least[std::max<int64_t>(0, n - 2)][p - 1] + measured[n - 1].divergence;
  };
  for (int64_t n = 1; n <= count; ++n) {
    for (int64_t p = 1; p <= pairs; ++p) least[n][p] = std::min(least[n - 1][p], with(n, p));
  }
  LayerGroups chosen;
  for (int64_t n = count, p = pairs; p > 0 && n > 0;) {
    if (least[n][p] == least[n - 1][p]) {
      --n;
      continue;
    }
    chosen.insert(chosen.begin(), {measured[n - 1].first, measured[n - 1].first + 1});
    n -= 2;
    --p;
  }
  return chosen;
}

}  // namespace hone::model
