#include "hone/nn/compressed_indexer.h"

#include <torch/types.h>

#include <cmath>
#include <memory>
#include <optional>

#include "hone/kernels/dispatch.h"
#include "hone/kernels/rotary.h"
#include "hone/kernels/window_attention.h"

namespace hone::nn {

CompressedIndexerImpl::CompressedIndexerImpl(const IndexerOptions& options,
                                             const CompressorOptions& compressor, int64_t narrow,
                                             const at::TensorOptions& tensor_options)
    : options(options), compressor(compressor) {
  this->compressor.width = options.width;
  const int64_t dim = compressor.dim, given = this->compressor.given();
  using Shape = std::vector<int64_t>;
  const auto frozen = [&](torch::nn::Module& owner, const char* name, const Shape& shape,
                          std::optional<double> start) {
    return owner.register_module(name, IndexLayer(shape, /*bias=*/false, start, tensor_options));
  };
  kv_proj = frozen(*this, "kv_proj", {given, dim}, {});
  gate_proj = frozen(*this, "gate_proj", {given, dim}, {});
  kv_norm = frozen(*this, "kv_norm", {options.width}, 1);
  q_b_proj = frozen(*this, "q_b_proj", {options.heads * options.width, narrow}, {});
  const auto scorer = register_module("scorer", std::make_shared<torch::nn::Module>());
  weights_proj = frozen(*scorer, "weights_proj", {options.heads, dim}, {});
  position_bias =
      register_buffer("position_bias", at::empty({compressor.ratio, given}, tensor_options));
}

std::vector<at::Tensor> CompressedIndexerImpl::forward(
    const at::Tensor& x, const at::Tensor& narrow, const at::Tensor& cos, const at::Tensor& sin,
    const Rotary& rotary, const AttentionContext& context, size_t first) {
  const at::NoGradGuard no_grad;
  const IndexerOptions& o = options;
  const std::vector<PassDocument> documents = pass_documents(context);
  std::vector<at::Tensor> masks(documents.size());
  bool all = true;
  for (const PassDocument& document : documents) {
    all = all && document.positions() / compressor.ratio <= o.chosen;
  }
  if (all && !context.cache) return masks;
  const auto kind = x.scalar_type();
  const std::vector<at::Tensor> entries =
      Compression{compressor, position_bias.to(kind), kv_norm->weight.to(kind)}.entries(
          kv_proj(x), gate_proj(x), rotary, context, first);
  if (all) return masks;
  const at::ScalarType wide = kernels::wide_type(x);
  const at::Tensor q = kernels::apply_rotary(q_b_proj(narrow).view({x.size(0), o.heads, o.width}),
                                             cos, sin, kernels::RotaryPairs::kAdjoining)
                           .to(wide);
  const at::Tensor weights = weights_proj(x.to(wide)) / std::sqrt(static_cast<double>(o.heads));
  for (size_t d = 0; d < documents.size(); ++d) {
    const PassDocument& document = documents[d];
    const int64_t count = entries[d].size(0);
    if (count <= o.chosen) continue;
    const auto own = [&](const at::Tensor& x) { return x.slice(0, document.begin, document.end); };
    const at::Tensor places =
        at::arange(document.past, document.positions(), x.options().dtype(at::kLong));
    masks[d] = best_seen(own(q), entries[d].to(wide), own(weights),
                         kernels::complete_entries(places, count, compressor.ratio), o.chosen);
  }
  return masks;
}

std::vector<ModuleTensor> CompressedIndexerImpl::own_tensors() const {
  return {{.name = "position_bias", .tensor = position_bias, .role = Role::kBuffer, .start = 0}};
}

int64_t CompressedIndexerImpl::flops(int64_t entries) const {
  return 2 * (kv_proj->weight.numel() + gate_proj->weight.numel() + q_b_proj->weight.numel() +
              weights_proj->weight.numel() + options.heads * options.width * entries);
}

}  // namespace hone::nn
