#include "hone/nn/indexer.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "hone/kernels/cached_attention.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/index_scores.h"
#include "hone/kernels/rotary.h"
#include "hone/nn/checkpointing.h"

namespace hone::nn {
namespace {

constexpr double kKeyEps = 1e-6;

/// Rotates the first numbers of each head. x [T, I, W].
at::Tensor rotated(const at::Tensor& x, const AttentionContext& context) {
  const int64_t width = context.cos.size(1);
  return at::cat(
      {kernels::apply_rotary(x.slice(2, 0, width), context.cos, context.sin), x.slice(2, width)},
      -1);
}

/// Which of P positions L queries behind P - L of them may see.
at::Tensor past_of(int64_t queries, int64_t positions, at::Device device) {
  return at::ones({queries, positions}, at::TensorOptions(device).dtype(at::kBool))
      .tril(positions - queries);
}

/// Of the keys that `seen` [L, P] lets through the best by `scores`, which are changed.
at::Tensor best_of(at::Tensor& scores, const at::Tensor& seen, int64_t chosen) {
  scores.masked_fill_(seen.logical_not(), -std::numeric_limits<double>::infinity());
  return seen & kernels::best_of_row(scores, chosen);
}

}  // namespace

at::Tensor best_seen(const at::Tensor& q, const at::Tensor& k, const at::Tensor& weights,
                     const at::Tensor& seen, int64_t chosen) {
  if (k.size(0) <= chosen) return seen;
  at::Tensor scores = kernels::index_scores(q, k, weights);
  return best_of(scores, seen, chosen);
}

IndexLayerImpl::IndexLayerImpl(const std::vector<int64_t>& shape, bool bias,
                               std::optional<double> start, const at::TensorOptions& tensor_options)
    : weight(register_buffer("weight", at::empty(shape, tensor_options))), start_(start) {
  if (bias) this->bias = register_buffer("bias", at::zeros({shape[0]}, tensor_options));
}

at::Tensor IndexLayerImpl::forward(const at::Tensor& x) const {
  return at::linear(x, weight.to(x.scalar_type()));
}

std::vector<ModuleTensor> IndexLayerImpl::own_tensors() const {
  std::vector<ModuleTensor> own = {{.name = "weight", .tensor = weight, .start = start_}};
  if (bias.defined()) {
    own.push_back({.name = "bias", .tensor = bias, .start = 0});
  }
  return own;
}

IndexerImpl::IndexerImpl(const IndexerOptions& options, int64_t dim, int64_t narrow,
                         const at::TensorOptions& tensor_options)
    : options(options) {
  const IndexerOptions& o = options;
  const auto linear = [&](const char* name, int64_t in, int64_t out) {
    return register_module(
        name, IndexLayer(std::vector<int64_t>{out, in}, false, std::nullopt, tensor_options));
  };
  wq_b = linear("wq_b", narrow, o.heads * o.width);
  wk = linear("wk", dim, o.width);
  k_norm = register_module("k_norm",
                           IndexLayer(std::vector<int64_t>{o.width}, true, 1.0, tensor_options));
  weights_proj = linear("weights_proj", dim, o.heads);
}

std::vector<at::Tensor> IndexerImpl::forward(const at::Tensor& x, const at::Tensor& narrow,
                                             const AttentionContext& context,
                                             const Attended& attended) {
  const bool learns =
      learning_ != IndexLearning::kOff && is_training() && torch::GradMode::is_enabled();
  const at::AutoGradMode grad_mode(learns);
  const IndexerOptions& o = options;
  const LayerCache* cache = context.cache;
  const std::vector<int64_t>& offsets = context.segments.offsets;
  std::vector<int64_t> positions;
  for (int64_t d = 0; d < context.segments.documents(); ++d) {
    positions.push_back(offsets[d + 1] - offsets[d] + (cache ? cache->places.past[d] : 0));
  }
  const bool all = *std::max_element(positions.begin(), positions.end()) <= o.chosen;
  if (all && !cache && !learns) return {};
  const at::Tensor input = x.detach();
  const auto kind = x.scalar_type();
  const at::Tensor normal =
      at::layer_norm(wk(input), {o.width}, k_norm->weight.to(kind), k_norm->bias.to(kind), kKeyEps);
  const at::Tensor k = rotated(normal.unsqueeze(1), context);
  if (cache) kernels::write_cache(cache->tensors.at(1), k, cache->places);
  if (all && !learns) return {};
  const at::ScalarType wide = kernels::wide_type(x);
  const at::Tensor q =
      rotated(wq_b(narrow.detach()).view({x.size(0), o.heads, o.width}), context).to(wide);
  const at::Tensor weights = weights_proj(input.to(wide)) / std::sqrt(static_cast<double>(o.heads));
  const bool teaches = learns && !recomputing(),
             dense = learns && learning_ == IndexLearning::kWarmUp;
  std::vector<at::Tensor> masks;
  for (size_t d = 0; d < positions.size(); ++d) {
    const int64_t begin = offsets[d], end = offsets[d + 1], number = static_cast<int64_t>(d);
    const bool chooses = positions[d] > o.chosen && !dense;
    at::Tensor seen = past_of(end - begin, positions[d], x.device()), scores;
    const at::Tensor keys =
        (cache ? cache->tensors[1][cache->places.first_row + number].slice(0, 0, positions[d])
               : k.slice(0, begin, end))
            .squeeze(1)
            .to(wide);
    const at::Tensor queries = q.slice(0, begin, end), own = weights.slice(0, begin, end);
    if (chooses || teaches) scores = kernels::index_scores(queries, keys, own);
    if (chooses) seen = best_of(scores, seen, o.chosen);
    if (teaches) {
      const at::Tensor loss =
          kernels::index_loss(queries, keys, own, scores, attended(number, seen), seen);
      loss_ = loss_.defined() ? loss_ + loss : loss;
    }
    masks.push_back(seen);
  }
  if (teaches) queries_ += x.size(0);
  return all || dense ? std::vector<at::Tensor>() : masks;
}

void IndexerImpl::set_learning(IndexLearning learning) {
  learning_ = learning;
  for (at::Tensor& tensor : buffers()) {
    tensor.set_requires_grad(learning != IndexLearning::kOff);
  }
}

std::pair<at::Tensor, int64_t> IndexerImpl::take_loss() {
  return {std::exchange(loss_, {}), std::exchange(queries_, 0)};
}

Footprint IndexerImpl::footprint(const StepShape& step) const {
  const IndexerOptions& o = options;
  const bool learns = learning_ != IndexLearning::kOff;
  Footprint f{.gradients = trained_numel(*this)};
  if (step.longest > o.chosen || learns) f.forward = step.squares(learns ? 6 : 2.5);
  // The gradients of queries, keys and weights, made in the forward pass, and what wk gave.
  if (!learns) return f;
  f.always = (o.heads + 1) * o.width + o.heads;
  f.saved = f.always + o.width;
  f.backward = o.heads * o.width;
  return f;
}

int64_t IndexerImpl::flops(int64_t positions) const {
  return 2 * (wq_b->weight.numel() + wk->weight.numel() + weights_proj->weight.numel() +
              options.heads * options.width * positions);
}

}  // namespace hone::nn
