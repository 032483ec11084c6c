#include "hone/nn/attention.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "hone/kernels/rotary.h"
#include "hone/kernels/varlen_attention.h"

namespace hone::nn {

std::vector<int64_t> uneven_kv_map(std::vector<int64_t> kv_head_of, int64_t kv_heads) {
  const int64_t heads = std::ssize(kv_head_of);
  bool regular = heads % kv_heads == 0;
  for (int64_t h = 0; regular && h < heads; ++h) {
    regular = kv_head_of[h] == h / (heads / kv_heads);
  }
  if (regular) kv_head_of.clear();
  return kv_head_of;
}

AttentionImpl::AttentionImpl(const AttentionOptions& options,
                             const at::TensorOptions& tensor_options)
    : options(options) {
  const AttentionOptions& o = options;
  TORCH_CHECK_VALUE(o.num_heads > 0 && o.num_kv_heads > 0 &&
                        (!o.kv_head_of.empty() || o.num_heads % o.num_kv_heads == 0),
                    "Attention: num_kv_heads must divide num_heads, got ", o.num_kv_heads, " and ",
                    o.num_heads);
  set_kv_map(o.kv_head_of);
  const auto linear = [&](const char* name, int64_t in, int64_t out, bool bias) {
    return register_module(name, Linear(LinearOptions{in, out, bias}, tensor_options));
  };
  q_proj = linear("q_proj", o.dim, o.num_heads * o.head_dim, o.qkv_bias);
  k_proj = linear("k_proj", o.dim, o.num_kv_heads * o.head_dim, o.qkv_bias);
  v_proj = linear("v_proj", o.dim, o.num_kv_heads * o.head_dim, o.qkv_bias);
  o_proj = linear("o_proj", o.num_heads * o.head_dim, o.dim, o.output_bias);
  if (o.qk_norm) {
    q_norm = register_module("q_norm", RmsNorm(o.head_dim, o.norm_eps, tensor_options));
    k_norm = register_module("k_norm", RmsNorm(o.head_dim, o.norm_eps, tensor_options));
  }
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const AttentionContext& context) {
  const auto [q, k, v] = heads(x, context.cos, context.sin);
  const double scale = 1 / std::sqrt(static_cast<double>(options.head_dim));
  const LayerCache* cache = context.cache;
  return output(cache ? kernels::cached_attention(q, k, v, context.segments, cache->places,
                                                  cache->tensors.at(0), cache->tensors.at(1), scale)
                      : kernels::varlen_attention(q, k, v, context.segments, scale,
                                                  is_training() ? options.dropout : 0.0));
}

AttentionImpl::Heads AttentionImpl::heads(const at::Tensor& x, const at::Tensor& cos,
                                          const at::Tensor& sin) {
  const auto split = [&](const at::Tensor& projected) {
    return projected.view({x.size(0), -1, options.head_dim});
  };
  const std::vector<at::Tensor> in = forward_together({q_proj, k_proj, v_proj}, x);
  Heads heads{split(in[0]), split(in[1]), split(in[2])};
  if (options.qk_norm) {
    heads.q = q_norm(heads.q);
    heads.k = k_norm(heads.k);
  }
  if (cos.defined()) {
    heads.q = kernels::apply_rotary(heads.q, cos, sin);
    heads.k = kernels::apply_rotary(heads.k, cos, sin);
  }
  if (kv_map_.defined()) {
    const at::Tensor map = kv_map_.to(x.device());
    heads.k = heads.k.index_select(1, map);
    heads.v = heads.v.index_select(1, map);
  }
  return heads;
}

at::Tensor AttentionImpl::output(const at::Tensor& mixed) {
  return o_proj((gate ? gate(mixed) : mixed).reshape({mixed.size(0), -1}));
}

std::vector<int64_t> AttentionImpl::groups() const {
  std::vector<int64_t> groups;
  for (int64_t head = 0; head < options.num_heads; ++head) groups.push_back(kv_head(head));
  return groups;
}

std::vector<UnitAxis> AttentionImpl::axes() const {
  const int64_t width = options.head_dim;
  return {{.name = "q_proj", .layer = q_proj, .width = width},
          {.name = "o_proj", .layer = o_proj, .outputs = false, .width = width},
          {.name = "k_proj", .layer = k_proj, .width = width, .groups = true},
          {.name = "v_proj", .layer = v_proj, .width = width, .groups = true}};
}

Footprint AttentionImpl::footprint(const StepShape& step) const {
  const AttentionOptions& o = options;
  const int64_t query = o.num_heads * o.head_dim, cached = cached_heads() * o.head_dim;
  // Rotated q and k (repeated where groups are uneven), v, the mix and its softmax sums.
  const int64_t grid = step.padded(2 * query + 2 * cached);
  Footprint f{.saved = saved_together({q_proj, k_proj, v_proj}) + o_proj->saved() + grid +
                       step.padded(o.num_heads),
              .backward = o.dim + grid,
              .gradients = trained_numel(*this)};
  // Each layer's gradient of a shared projection is whole until they are summed.
  if (!owns_) f.gradients += trained_numel(*q_proj) + trained_numel(*k_proj);
  // The mix again, put back in the order of tokens.
  if (step.documents > 1 && o_proj->keeps_input()) f.saved += query;
  if (q_norm) {
    f.saved += q_norm->saved(query, step) + k_norm->saved(o.num_kv_heads * o.head_dim, step);
  }
  if (o.dropout > 0) {
    // LibTorch's unfused attention: softmax, dropout's noise and their product for all pairs of
    // positions, keys and values repeated for each query head.
    const int64_t pairs = step.padded(o.num_heads * step.longest);
    f.saved += 3 * pairs + step.padded(2 * (query - cached));
    f.backward += 2 * pairs;
  }
  return f;
}

int64_t AttentionImpl::flops(int64_t positions) const {
  const AttentionOptions& o = options;
  const int64_t borrowed = owns_ ? 0 : o.dim * (o.num_heads + o.num_kv_heads) * o.head_dim;
  return MixerImpl::flops(positions) + 2 * borrowed + 4 * o.num_heads * o.head_dim * positions;
}

void AttentionImpl::share_projections(MixerImpl& mixer) {
  auto* other = dynamic_cast<AttentionImpl*>(&mixer);
  if (!other) return MixerImpl::share_projections(mixer);
  const AttentionOptions &o = options, &p = other->options;
  TORCH_CHECK_VALUE(o.dim == p.dim && o.num_heads == p.num_heads && o.head_dim == p.head_dim &&
                        o.num_kv_heads == p.num_kv_heads && o.kv_head_of == p.kv_head_of &&
                        o.qkv_bias == p.qkv_bias,
                    "Attention: projections can be shared by layers of the same sizes only, got ",
                    o.num_heads, " and ", p.num_heads, " heads of ", o.head_dim, " and ",
                    p.head_dim, " numbers");
  for (const char* name : {"q_proj", "k_proj"}) {
    if (owns_) unregister_module(name);
  }
  q_proj = other->q_proj;
  k_proj = other->k_proj;
  owns_ = false;
  shares_ = other->shares_ = true;
}

std::vector<ModuleTensor> AttentionImpl::borrowed() const {
  std::vector<ModuleTensor> all;
  if (owns_) return all;
  for (const auto& [module, name] : {std::pair(q_proj, "q_proj."), std::pair(k_proj, "k_proj.")}) {
    for (ModuleTensor& tensor : tensors(*module)) {
      tensor.name = name + tensor.name;
      all.push_back(std::move(tensor));
    }
  }
  return all;
}

void AttentionImpl::check_kept(const std::vector<int64_t>&) const {
  TORCH_CHECK_VALUE(!shares_,
                    "Attention: no heads can be cut of layers that share q_proj and k_proj");
}

CacheShape AttentionImpl::cache_shape() const {
  const std::vector<int64_t> sizes = {cached_heads(), options.head_dim};
  return {sizes, sizes};
}

int64_t AttentionImpl::cached_heads() const {
  return kv_map_.defined() ? options.num_heads : options.num_kv_heads;
}

int64_t AttentionImpl::kv_head(int64_t head) const {
  const AttentionOptions& o = options;
  return o.kv_head_of.empty() ? head / (o.num_heads / o.num_kv_heads) : o.kv_head_of[head];
}

void AttentionImpl::set_kv_map(std::vector<int64_t> kv_head_of) {
  const int64_t heads = options.num_heads, kv_heads = options.num_kv_heads;
  options.kv_head_of.clear();
  kv_map_ = at::Tensor();
  if (kv_head_of.empty()) return;
  const auto [least, most] = std::minmax_element(kv_head_of.begin(), kv_head_of.end());
  TORCH_CHECK_VALUE(std::ssize(kv_head_of) == heads && *least >= 0 && *most < kv_heads,
                    "Attention: kv_head_of must give each of ", heads, " query heads one of ",
                    kv_heads, " key heads, got ", kv_head_of);
  options.kv_head_of = uneven_kv_map(std::move(kv_head_of), kv_heads);
  if (!options.kv_head_of.empty()) kv_map_ = torch::tensor(options.kv_head_of, at::kLong);
}

void AttentionImpl::units_cut(const std::vector<int64_t>& keep) {
  std::set<int64_t> left;
  for (const int64_t head : keep) left.insert(kv_head(head));
  std::vector<int64_t> kv_head_of;
  for (const int64_t head : keep) {
    kv_head_of.push_back(std::distance(left.begin(), left.find(kv_head(head))));
  }
  options.num_heads = std::ssize(keep);
  options.num_kv_heads = std::ssize(left);
  set_kv_map(std::move(kv_head_of));
}

}  // namespace hone::nn
