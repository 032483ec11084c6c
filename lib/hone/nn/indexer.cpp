#include "hone/nn/indexer.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "hone/kernels/cached_attention.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/rotary.h"

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

}  // namespace

at::Tensor best_seen(const at::Tensor& q, const at::Tensor& k, const at::Tensor& weights,
                     const at::Tensor& seen, int64_t chosen) {
  if (k.size(0) <= chosen) return seen;
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
  at::Tensor scores = at::zeros(seen.sizes(), q.options());
  for (int64_t h = 0; h < q.size(1); ++h) {
    const at::Tensor head = at::mm(q.select(1, h), k.t()).mul_(scale).relu_();
    scores.add_(head.mul_(weights.slice(1, h, h + 1)));
  }
  scores.masked_fill_(seen.logical_not(), -std::numeric_limits<double>::infinity());
  return at::zeros_like(seen).scatter_(1, std::get<1>(scores.topk(chosen, -1)), true) & seen;
}

FrozenImpl::FrozenImpl(const std::vector<int64_t>& shape, bool bias, std::optional<double> start,
                       const at::TensorOptions& tensor_options)
    : weight(register_buffer("weight", at::empty(shape, tensor_options))), start_(start) {
  if (bias) this->bias = register_buffer("bias", at::zeros({shape[0]}, tensor_options));
}

at::Tensor FrozenImpl::forward(const at::Tensor& x) const {
  return at::linear(x, weight.to(x.scalar_type()));
}

std::vector<ModuleTensor> FrozenImpl::own_tensors() const {
  std::vector<ModuleTensor> own = {
      {.name = "weight", .tensor = weight, .role = Role::kBuffer, .start = start_}};
  if (bias.defined()) {
    own.push_back({.name = "bias", .tensor = bias, .role = Role::kBuffer, .start = 0});
  }
  return own;
}

IndexerImpl::IndexerImpl(const IndexerOptions& options, int64_t dim, int64_t narrow,
                         const at::TensorOptions& tensor_options)
    : options(options) {
  const IndexerOptions& o = options;
  const auto linear = [&](const char* name, int64_t in, int64_t out) {
    return register_module(
        name, Frozen(std::vector<int64_t>{out, in}, false, std::nullopt, tensor_options));
  };
  wq_b = linear("wq_b", narrow, o.heads * o.width);
  wk = linear("wk", dim, o.width);
  k_norm =
      register_module("k_norm", Frozen(std::vector<int64_t>{o.width}, true, 1.0, tensor_options));
  weights_proj = linear("weights_proj", dim, o.heads);
}

std::vector<at::Tensor> IndexerImpl::forward(const at::Tensor& x, const at::Tensor& narrow,
                                             const AttentionContext& context) {
  const at::NoGradGuard no_grad;
  const IndexerOptions& o = options;
  const LayerCache* cache = context.cache;
  const std::vector<int64_t>& offsets = context.segments.offsets;
  std::vector<int64_t> positions;
  for (int64_t d = 0; d < context.segments.documents(); ++d) {
    positions.push_back(offsets[d + 1] - offsets[d] + (cache ? cache->places.past[d] : 0));
  }
  const bool all = *std::max_element(positions.begin(), positions.end()) <= o.chosen;
  if (all && !cache) return {};
  const auto kind = x.scalar_type();
  const at::Tensor normal =
      at::layer_norm(wk(x), {o.width}, k_norm->weight.to(kind), k_norm->bias.to(kind), kKeyEps);
  const at::Tensor k = rotated(normal.unsqueeze(1), context);
  if (cache) kernels::write_cache(cache->tensors.at(1), k, cache->places);
  if (all) return {};
  const at::ScalarType wide = kernels::wide_type(x);
  const at::Tensor q = rotated(wq_b(narrow).view({x.size(0), o.heads, o.width}), context).to(wide);
  const at::Tensor weights = weights_proj(x.to(wide)) / std::sqrt(static_cast<double>(o.heads));
  std::vector<at::Tensor> masks;
  for (size_t d = 0; d < positions.size(); ++d) {
    const int64_t begin = offsets[d], end = offsets[d + 1];
    const at::Tensor keys =
        cache ? cache->tensors[1][cache->places.first_row + static_cast<int64_t>(d)].slice(
                    0, 0, positions[d])
              : k.slice(0, begin, end);
    const at::Tensor past = at::ones({end - begin, positions[d]}, keys.options().dtype(at::kBool))
                                .tril(positions[d] - (end - begin));
    masks.push_back(best_seen(q.slice(0, begin, end), keys.squeeze(1).to(wide),
                              weights.slice(0, begin, end), past, o.chosen));
  }
  return masks;
}

int64_t IndexerImpl::flops(int64_t positions) const {
  return 2 * (wq_b->weight.numel() + wk->weight.numel() + weights_proj->weight.numel() +
              options.heads * options.width * positions);
}

}  // namespace hone::nn
