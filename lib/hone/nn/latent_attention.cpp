#include "hone/nn/latent_attention.h"

#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <tuple>
#include <utility>

#include "hone/kernels/dispatch.h"
#include "hone/kernels/varlen_attention.h"

namespace hone::nn {
namespace {

constexpr double kInnerEps = 1e-6;  // of both inner norms, whatever rms_norm_eps says

/// Keys [P, K, E] and values [P, K, F] that a document sees, K 1 or H.
using KeysOf = std::function<std::pair<at::Tensor, at::Tensor>(int64_t document)>;

/// Attention over the positions that the mask of each document [L, P] lets through.
/// q [T, H, E] -> [T, H, F].
at::Tensor masked_attention(const at::Tensor& q, const KeysOf& keys_of,
                            const std::vector<at::Tensor>& seen, const kernels::Sequences& segments,
                            double scale, double dropout) {
  std::vector<at::Tensor> outputs;
  for (int64_t d = 0; d < segments.documents(); ++d) {
    const auto [k, v] = keys_of(d);
    const int64_t width = std::max(k.size(2), v.size(2));  // fused kernels know one width only
    const auto heads = [&](const at::Tensor& x) {
      const at::Tensor wide =
          x.size(2) == width ? x : at::constant_pad_nd(x, {0, width - x.size(2)});
      return wide.expand({-1, q.size(1), -1}).transpose(0, 1).unsqueeze(0);
    };
    const at::Tensor own = q.slice(0, segments.offsets[d], segments.offsets[d + 1]);
    outputs.push_back(at::scaled_dot_product_attention(heads(own), heads(k), heads(v), seen[d],
                                                       dropout, /*is_causal=*/false, scale)
                          .slice(3, 0, v.size(2))
                          .squeeze(0)
                          .transpose(0, 1));
  }
  return at::cat(outputs);
}

/// What all heads together look at: [L, L], each row's sum 1, of the positions that `seen` [L, L]
/// lets through. q and k [L, H, E].
at::Tensor attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& seen,
                    double scale) {
  const at::NoGradGuard no_grad;
  const at::Tensor unseen = seen.logical_not();
  at::Tensor sum;
  for (int64_t h = 0; h < q.size(1); ++h) {
    at::Tensor scores = at::mm(q.select(1, h), k.select(1, h).t()).to(kernels::wide_type(q));
    scores.mul_(scale).masked_fill_(unseen, -std::numeric_limits<double>::infinity());
    const at::Tensor head = scores.softmax(1);
    sum = sum.defined() ? sum.add_(head) : head;
  }
  return sum.div_(q.size(1));
}

}  // namespace

LatentAttentionImpl::LatentAttentionImpl(const LatentAttentionOptions& options,
                                         const at::TensorOptions& tensor_options)
    : options(options) {
  const LatentAttentionOptions& o = options;
  const auto linear = [&](const char* name, int64_t in, int64_t out, bool bias) {
    return register_module(name, Linear(LinearOptions{in, out, bias}, tensor_options));
  };
  const auto norm = [&](const char* name, int64_t width) {
    return register_module(name, RmsNorm(width, kInnerEps, tensor_options));
  };
  const int64_t queries = o.num_heads * (o.plain + o.rotary);
  if (o.query_rank == 0) {
    q_proj = linear("q_proj", o.dim, queries, false);
  } else {
    q_a_proj = linear("q_a_proj", o.dim, o.query_rank, o.bias);
    q_a_layernorm = norm("q_a_layernorm", o.query_rank);
    q_b_proj = linear("q_b_proj", o.query_rank, queries, false);
  }
  kv_a_proj_with_mqa = linear("kv_a_proj_with_mqa", o.dim, o.latent + o.rotary, o.bias);
  kv_a_layernorm = norm("kv_a_layernorm", o.latent);
  kv_b_proj = linear("kv_b_proj", o.latent, o.num_heads * (o.plain + o.value), false);
  o_proj = linear("o_proj", o.num_heads * o.value, o.dim, o.bias);
  if (o.index.chosen > 0) {
    indexer = register_module("indexer", Indexer(o.index, o.dim, o.query_rank, tensor_options));
  }
}

at::Tensor LatentAttentionImpl::forward(const at::Tensor& x, const AttentionContext& context) {
  const std::vector<at::Tensor> in =
      forward_together({q_proj ? q_proj : q_a_proj, kv_a_proj_with_mqa}, x);
  const at::Tensor narrow = q_proj ? x : q_a_layernorm(in[0]);
  const at::Tensor q = rotated_queries(q_proj ? in[0] : q_b_proj(narrow), context);
  const auto [latent, rotated] = latents(in[1], context);
  const LayerCache* cache = context.cache;
  if (cache) {
    kernels::write_cache(cache->tensors.at(0), at::cat({latent.unsqueeze(1), rotated}, -1),
                         cache->places);
  }
  const kernels::Sequences& segments = context.segments;
  const bool continues = cache && !kernels::all_begin(cache->places);
  at::Tensor k, v;
  if (!continues) std::tie(k, v) = expanded(latent, rotated);
  const auto part = [&segments](const at::Tensor& x, int64_t d) {
    return x.slice(0, segments.offsets[d], segments.offsets[d + 1]);
  };
  std::vector<at::Tensor> seen;
  if (indexer) {
    seen = indexer(x, narrow, context, [&](int64_t d, const at::Tensor& mask) {
      return attended(part(q, d), part(k, d), mask, options.scale);
    });
  }
  at::Tensor mixed;
  if (continues) {
    mixed = absorbed(q, seen, context);
  } else {
    const double dropout = is_training() ? options.dropout : 0.0;
    const auto of = [&](int64_t d) { return std::pair(part(k, d), part(v, d)); };
    mixed = seen.empty() ? kernels::varlen_attention(q, k, v, segments, options.scale, dropout)
                         : masked_attention(q, of, seen, segments, options.scale, dropout);
  }
  return o_proj((gate ? gate(mixed) : mixed).reshape({x.size(0), -1}));
}

at::Tensor LatentAttentionImpl::rotated_queries(const at::Tensor& q,
                                                const AttentionContext& context) {
  return kernels::apply_rotary(q.view({q.size(0), options.num_heads, -1}), context.cos, context.sin,
                               options.pairs);
}

std::pair<at::Tensor, at::Tensor> LatentAttentionImpl::latents(const at::Tensor& both,
                                                               const AttentionContext& context) {
  const at::Tensor latent = kv_a_layernorm(both.slice(1, 0, options.latent));
  const at::Tensor rotated = both.slice(1, options.latent).unsqueeze(1);
  return {latent, kernels::apply_rotary(rotated, context.cos, context.sin, options.pairs)};
}

std::pair<at::Tensor, at::Tensor> LatentAttentionImpl::expanded(const at::Tensor& latent,
                                                                const at::Tensor& rotated) {
  const at::Tensor heads = kv_b_proj(latent).view({latent.size(0), options.num_heads, -1});
  const at::Tensor shared = rotated.expand({-1, options.num_heads, -1});
  return {at::cat({heads.slice(2, 0, options.plain), shared}, -1), heads.slice(2, options.plain)};
}

at::Tensor LatentAttentionImpl::absorbed(const at::Tensor& q, const std::vector<at::Tensor>& seen,
                                         const AttentionContext& context) {
  const at::Tensor heads = kv_b_proj->merged_weight().view({options.num_heads, -1, options.latent});
  const at::Tensor plain = q.slice(2, 0, options.plain).transpose(0, 1);
  const at::Tensor carried = at::bmm(plain, heads.slice(1, 0, options.plain)).transpose(0, 1);
  const at::Tensor cached = context.cache->tensors.at(0);
  const at::Tensor values = cached.slice(3, 0, options.latent);
  const at::Tensor inner = at::cat({carried, q.slice(2, options.plain)}, -1);
  const kernels::CachePlaces& places = context.cache->places;
  const auto of = [&](int64_t d) {
    const int64_t row = places.first_row + d, end = seen[d].size(1);
    return std::pair(cached[row].slice(0, 0, end), values[row].slice(0, 0, end));
  };
  const at::Tensor mixed =
      seen.empty()
          ? kernels::attend_cache(inner, cached, values, context.segments, places, options.scale)
          : masked_attention(inner, of, seen, context.segments, options.scale, 0);
  return at::bmm(mixed.transpose(0, 1), heads.slice(1, options.plain).transpose(1, 2))
      .transpose(0, 1);
}

std::vector<UnitAxis> LatentAttentionImpl::axes() const {
  const LatentAttentionOptions& o = options;
  return {
      {.name = q_proj ? "q_proj" : "q_b_proj", .layer = query_layer(), .width = o.plain + o.rotary},
      {.name = "kv_b_proj", .layer = kv_b_proj, .width = o.plain + o.value},
      {.name = "o_proj", .layer = o_proj, .outputs = false, .width = o.value}};
}

void LatentAttentionImpl::units_cut(const std::vector<int64_t>& keep) {
  options.num_heads = std::ssize(keep);
}

Footprint LatentAttentionImpl::footprint(const StepShape& step) const {
  const LatentAttentionOptions& o = options;
  const int64_t wide = std::max(o.plain + o.rotary, o.value);
  // Queries, keys, values and the mix, of one width, and its softmax sums.
  const int64_t grid = step.padded(4 * o.num_heads * wide);
  const int64_t values = o.num_heads * o.value;
  Footprint f{.saved = saved_together({q_proj ? q_proj : q_a_proj, kv_a_proj_with_mqa}) +
                       kv_a_layernorm->saved(o.latent, step) + saved_together({kv_b_proj}) +
                       o_proj->saved() + grid + step.padded(o.num_heads),
              .backward = o.dim + grid,
              .gradients = trained_numel(*this)};
  if (q_b_proj) {
    f.saved += q_a_layernorm->saved(o.query_rank, step) + saved_together({q_b_proj});
  }
  if (o_proj->keeps_input() && (o.value < wide || step.documents > 1)) f.saved += values;
  if (o.dropout > 0) {
    const int64_t pairs = step.padded(o.num_heads * step.longest);  // as Attention's
    f.saved += 3 * pairs;
    f.backward += 2 * pairs;
  }
  if (indexer) {
    const Footprint own = indexer->footprint(step);  // its gradients are counted
    f.saved += own.saved;
    f.always = own.always;
    f.backward += own.backward;
    f.forward = own.forward;
    if (step.longest > o.index.chosen) f.saved += step.longest;  // the mask, as numbers
  }
  return f;
}

int64_t LatentAttentionImpl::flops(int64_t positions) const {
  const LatentAttentionOptions& o = options;
  return MixerImpl::flops(positions) +
         2 * o.num_heads * (o.plain + o.rotary + o.value) * positions +
         (indexer ? indexer->flops(positions) : 0);
}

CacheShape LatentAttentionImpl::cache_shape() const {
  CacheShape shape = {{1, options.latent + options.rotary}};
  if (indexer) shape.push_back({1, options.index.width});
  return shape;
}

}  // namespace hone::nn
