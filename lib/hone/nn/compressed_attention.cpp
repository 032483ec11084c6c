#include "hone/nn/compressed_attention.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "hone/kernels/cached_attention.h"
#include "hone/kernels/product.h"
#include "hone/kernels/rms_norm.h"
#include "hone/kernels/rotary.h"
#include "hone/kernels/window_attention.h"

namespace hone::nn {
namespace {

void check(const CompressedAttentionOptions& o) {
  TORCH_CHECK_VALUE(o.o_groups > 0 && o.num_heads > 0 && o.num_heads % o.o_groups == 0,
                    "CompressedAttention: o_groups must divide num_heads, got ", o.o_groups,
                    " and ", o.num_heads);
  TORCH_CHECK_VALUE(o.window > 0, "CompressedAttention: window must be positive, got ", o.window);
  TORCH_CHECK_VALUE(o.ratio >= 0 && (o.ratio > 0 || o.index.chosen == 0),
                    "CompressedAttention: an indexer needs a ratio, got ", o.ratio);
  const int64_t narrowest = o.index.chosen > 0 ? std::min(o.head_dim, o.index.width) : o.head_dim;
  TORCH_CHECK_VALUE(o.rope.head_dim <= narrowest,
                    "CompressedAttention: no more can be rotated than a head is wide, ", narrowest,
                    ", got ", o.rope.head_dim);
  TORCH_CHECK_VALUE(o.rope.type != RopeType::kDynamic,
                    "CompressedAttention: dynamic angles would differ between entries and queries");
}

/// [T] int64: where in its document each position of the pass is.
at::Tensor positions_of(const std::vector<PassDocument>& documents, at::Device device) {
  std::vector<at::Tensor> parts;
  for (const PassDocument& document : documents) {
    parts.push_back(at::arange(document.past, document.positions(), at::kLong));
  }
  return at::cat(parts).to(device);
}

}  // namespace

GroupedLinearImpl::GroupedLinearImpl(int64_t in, int64_t out, int64_t groups,
                                     const at::TensorOptions& tensor_options)
    : weight(register_parameter("weight", at::empty({groups * out, in}, tensor_options))),
      groups(groups) {}

at::Tensor GroupedLinearImpl::forward(const at::Tensor& x) {
  const std::vector<at::Tensor> weights = weight.chunk(groups);
  std::vector<at::Tensor> parts;
  for (int64_t g = 0; g < groups; ++g) {
    parts.push_back(kernels::project(x.select(1, g), weights[g]));
  }
  return at::cat(parts, 1);
}

CompressedAttentionImpl::CompressedAttentionImpl(const CompressedAttentionOptions& options,
                                                 const at::TensorOptions& tensor_options)
    : options(options), rotary_(options.rope) {
  const CompressedAttentionOptions& o = options;
  check(o);
  const auto linear = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, Linear(LinearOptions{in, out}, tensor_options));
  };
  const auto norm = [&](const char* name, int64_t width) {
    return register_module(name, RmsNorm(width, o.norm_eps, tensor_options));
  };
  q_a_proj = linear("q_a_proj", o.hidden_size, o.q_rank);
  q_a_norm = norm("q_a_norm", o.q_rank);
  q_b_proj = linear("q_b_proj", o.q_rank, o.num_heads * o.head_dim);
  kv_proj = linear("kv_proj", o.hidden_size, o.head_dim);
  kv_norm = norm("kv_norm", o.head_dim);
  o_a_proj = register_module("o_a_proj", GroupedLinear(o.num_heads / o.o_groups * o.head_dim,
                                                       o.o_rank, o.o_groups, tensor_options));
  o_b_proj = linear("o_b_proj", o.o_groups * o.o_rank, o.hidden_size);
  sinks = register_parameter("sinks", at::empty({o.num_heads}, tensor_options));
  if (o.ratio == 0) return;
  const CompressorOptions entries{.dim = o.hidden_size,
                                  .width = o.head_dim,
                                  .ratio = o.ratio,
                                  .overlap = o.index.chosen > 0,
                                  .norm_eps = o.norm_eps};
  compressor = register_module("compressor", Compressor(entries, tensor_options));
  if (o.index.chosen == 0) return;
  indexer = compressor->register_module(
      "indexer", CompressedIndexer(o.index, entries, o.q_rank, tensor_options));
}

at::Tensor CompressedAttentionImpl::forward(const at::Tensor& x, const AttentionContext& context) {
  const CompressedAttentionOptions& o = options;
  const std::vector<PassDocument> documents = pass_documents(context);
  const auto [cos, sin] =
      rotary_.tables(positions_of(documents, x.device()), context.segments, x.scalar_type());
  const auto turned = [&, &cos = cos](const at::Tensor& heads, const at::Tensor& sin) {
    return kernels::apply_rotary(heads, cos, sin, kernels::RotaryPairs::kAdjoining);
  };
  const at::Tensor narrow = q_a_norm(q_a_proj(x));
  const at::Tensor q =
      turned(kernels::rms_norm(q_b_proj(narrow).view({x.size(0), o.num_heads, o.head_dim}),
                               at::ones({o.head_dim}, x.options()), o.norm_eps),
             sin);
  const at::Tensor kv = turned(kv_norm(kv_proj(x)).unsqueeze(1), sin);
  const LayerCache* cache = context.cache;
  if (cache) kernels::write_cache(cache->tensors.at(0), kv, cache->places);
  std::vector<at::Tensor> entries(documents.size()), chosen(documents.size());
  if (compressor) entries = compressor(x, rotary_, context, 1);
  if (indexer) chosen = indexer(x, narrow, cos, sin, rotary_, context, 3);
  std::vector<int64_t> lengths;
  for (const PassDocument& document : documents) lengths.push_back(document.end - document.begin);
  const std::vector<at::Tensor> queries = q.split_with_sizes(lengths);
  std::vector<at::Tensor> keys = kv.split_with_sizes(lengths), outputs;
  for (size_t d = 0; d < documents.size(); ++d) {
    const PassDocument& document = documents[d];
    if (cache) keys[d] = cache->tensors[0][document.row].slice(0, 0, document.positions());
    outputs.push_back(kernels::window_attention(queries[d], keys[d].squeeze(1), sinks, window(),
                                                entries[d], chosen[d]));
  }
  const at::Tensor mixed = outputs.size() == 1 ? outputs[0] : at::cat(outputs);
  return o_b_proj(o_a_proj(turned(mixed, -sin).view({x.size(0), o.o_groups, -1})));
}

kernels::WindowOptions CompressedAttentionImpl::window() const {
  return {.window = options.window,
          .ratio = options.ratio,
          .scale = 1 / std::sqrt(static_cast<double>(options.head_dim)),
          .dropout = is_training() ? options.dropout : 0};
}

Footprint CompressedAttentionImpl::footprint(const StepShape& step) const {
  const CompressedAttentionOptions& o = options;
  const int64_t query = o.num_heads * o.head_dim;
  std::vector<Linear> inputs = {q_a_proj, kv_proj};
  // Queries before and behind their norm, kv behind it, the angles of queries and of the mix.
  int64_t saved = q_a_norm->saved(o.q_rank, step) + saved_together({q_b_proj}) +
                  kv_norm->saved(query, step) + o.num_heads + query +
                  kv_norm->saved(o.head_dim, step) + o.head_dim + 3 * o.rope.head_dim +
                  saved_together({o_b_proj});
  if (o_a_proj->weight.requires_grad()) saved += query;
  if (compressor) {
    inputs.insert(inputs.end(), {compressor->kv_proj, compressor->gate_proj});
    // What is summed and its weights; to each entry the norm's input and the result.
    const int64_t entry = kv_norm->saved(o.head_dim, step) + o.head_dim + 2 * o.rope.head_dim;
    saved += 2 * compressor->options.given() + entry / o.ratio;
    const int64_t entries = step.longest / o.ratio;
    if (indexer && entries > o.index.chosen) saved += entries / 4;  // a mask of bytes
  }
  const int64_t buffers =  // of all tokens; half types are a device's
      kernels::window_attention_buffers(o.num_heads, step.longest, window(), !step.half);
  return {.saved = saved + saved_together(inputs),
          .backward = query + o.hidden_size + buffers / std::max<int64_t>(1, step.longest),
          .gradients = trained_numel(*this)};
}

int64_t CompressedAttentionImpl::flops(int64_t positions) const {
  const CompressedAttentionOptions& o = options;
  const int64_t entries = o.ratio > 0 ? positions / o.ratio : 0;
  return MixerImpl::flops(positions) + 2 * o_a_proj->weight.numel() +
         4 * o.num_heads * o.head_dim * (std::min(positions, o.window) + entries) +
         (indexer ? indexer->flops(entries) : 0);
}

CacheShape CompressedAttentionImpl::cache_shape() const {
  CacheShape shape = {{1, options.head_dim}};
  const auto add = [&](const CompressorOptions& entries) {
    const CacheShape more = Compression::cache_shape(entries);
    shape.insert(shape.end(), more.begin(), more.end());
  };
  if (compressor) add(compressor->options);
  if (indexer) add(indexer->compressor);
  return shape;
}

std::vector<ModuleTensor> CompressedAttentionImpl::own_tensors() const {
  return {{.name = "sinks", .tensor = sinks, .start = 0}};
}

}  // namespace hone::nn
