/// The choice of the compressed entries that a query sees (DeepSeek-V4).
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "hone/nn/branch.h"
#include "hone/nn/compressor.h"
#include "hone/nn/indexer.h"
#include "hone/nn/rotary.h"

namespace hone::nn {

/// IndexerImpl's scores, of q = q_b_proj(narrow), rotated in its last numbers, and of entries that
/// are made as the attention's are, of its own kv_proj, gate_proj, position_bias and kv_norm. No
/// gradient passes through the choice, so that its tensors are buffers.
/// Source: DeepSeek-V4, section 2.3.1. Parity: transformers' DeepseekV4Indexer, whose names these
///   are; DeepSeek's own code rounds to float4 on the way.
class CompressedIndexerImpl : public torch::nn::Module, public TellsTensors {
 public:
  /// `compressor`: of the attention's entries. `narrow`: width of what queries come out of.
  CompressedIndexerImpl(const IndexerOptions& options, const CompressorOptions& compressor,
                        int64_t narrow, const at::TensorOptions& tensor_options);

  /// x [T, D], narrow [T, query rank], cos and sin [T, rotated] of their positions -> for each
  /// document of L positions with C entries a mask [L, C], true at the best of those complete;
  /// undefined where all of them are seen.
  /// A cache's tensors are those of the entries from number `first` on.
  std::vector<at::Tensor> forward(const at::Tensor& x, const at::Tensor& narrow,
                                  const at::Tensor& cos, const at::Tensor& sin,
                                  const Rotary& rotary, const AttentionContext& context,
                                  size_t first);

  std::vector<ModuleTensor> own_tensors() const override;

  /// Operations of a token's forward pass that scores `entries`.
  int64_t flops(int64_t entries) const;

  IndexerOptions options;
  CompressorOptions compressor;
  IndexLayer kv_proj{nullptr}, gate_proj{nullptr}, kv_norm{nullptr}, q_b_proj{nullptr};
  IndexLayer weights_proj{nullptr};  ///< of the child "scorer"
  at::Tensor position_bias;          ///< [R, 2 W]
};
TORCH_MODULE(CompressedIndexer);

}  // namespace hone::nn
