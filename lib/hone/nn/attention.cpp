#include "hone/nn/attention.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "hone/kernels/rotary.h"
#include "hone/kernels/varlen_attention.h"
#include "hone/nn/detail/cutting.h"

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
  return output(context.cache
                    ? kernels::cached_attention(q, k, v, context.segments, context.cache->places,
                                                context.cache->keys, context.cache->values, scale)
                    : kernels::varlen_attention(q, k, v, context.segments, scale,
                                                is_training() ? options.dropout : 0.0));
}

AttentionImpl::Heads AttentionImpl::heads(const at::Tensor& x, const at::Tensor& cos,
                                          const at::Tensor& sin) {
  const auto split = [&](const at::Tensor& projected) {
    return projected.view({x.size(0), -1, options.head_dim});
  };
  Heads heads{split(q_proj(x)), split(k_proj(x)), split(v_proj(x))};
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

void AttentionImpl::add_gate() { detail::add_gate(*this, gate, options.num_heads); }

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

std::vector<Cut> AttentionImpl::cut_heads(const std::vector<int64_t>& keep) {
  detail::check_keep("Attention: cut_heads", keep, options.num_heads);
  std::set<int64_t> used;
  for (const int64_t head : keep) used.insert(kv_head(head));
  const std::vector<int64_t> kv_keep(used.begin(), used.end());
  std::vector<int64_t> kv_head_of;
  for (const int64_t head : keep) {
    kv_head_of.push_back(std::distance(used.begin(), used.find(kv_head(head))));
  }
  const at::Tensor rows = detail::positions_of(keep, options.head_dim);
  std::vector<Cut> cuts;
  detail::append(cuts, "q_proj", q_proj->keep_rows(rows));
  detail::append(cuts, "o_proj", o_proj->keep_columns(rows));
  if (std::ssize(kv_keep) < options.num_kv_heads) {
    const at::Tensor kv_rows = detail::positions_of(kv_keep, options.head_dim);
    detail::append(cuts, "k_proj", k_proj->keep_rows(kv_rows));
    detail::append(cuts, "v_proj", v_proj->keep_rows(kv_rows));
  }
  if (gate) gate->keep_units(keep);
  options.num_heads = std::ssize(keep);
  options.num_kv_heads = std::ssize(kv_keep);
  set_kv_map(std::move(kv_head_of));
  return cuts;
}

}  // namespace hone::nn
