/// Layers that predict tokens further ahead than the next one.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hone/model/config.h"
#include "hone/nn/branch.h"
#include "hone/nn/decoder_block.h"
#include "hone/nn/linear.h"

namespace hone::model {

/// The layer of depth k = 1, 2, ...: of h [T, D], which DecoderImpl::hidden() or the layer of depth
/// k - 1 gave, and the embeddings e [T, D] of the tokens k further, it makes
///
///   h' = norm(block(eh_proj([enorm(e) | hnorm(h)])))
///
/// of which the model's head makes the logits of the tokens k + 1 further. It has no embedding and
/// head of its own: copies in a checkpoint are those of the model (copied_table()).
/// Source: DeepSeek-V3, section 2.2, eq. 21 to 23. The report leaves open whether h has passed the
///   last norm; it has, as in vLLM and SGLang, and R1 drafts better so (ROCm/ATOM, pull 1764).
/// Parity: the formula over transformers' DeepseekV3DecoderLayer (tests/parity/multi_token.py).
struct MultiTokenLayer {
  /// Without values. `depth` counts from 0.
  MultiTokenLayer(const DecoderConfig& config, int64_t depth,
                  const at::TensorOptions& tensor_options);

  /// What the block takes in: [T, D] of embeddings and h, both [T, D].
  at::Tensor joined(const at::Tensor& embeddings, const at::Tensor& hidden);

  int64_t number;  ///< by which the checkpoint has its tensors: those of the block and beside them
  nn::DecoderBlock block{nullptr};
  nn::Norm enorm{nullptr}, hnorm{nullptr};
  nn::Linear eh_proj{nullptr};
  nn::Norm norm{nullptr};  ///< shared_head.norm

  /// What it holds of a step beside its block: before it and, in the norm, behind it.
  nn::Footprint footprint(const nn::StepShape& step) const;
};

/// Makes config.json's layers for multi-token prediction part of the model.
/// Throws: hone::Error if there are none.
void join_multi_token(DecoderConfig& config);

/// What a tensor of such a layer may be a copy of.
enum class CopiedTable { kNone, kEmbedding, kHead };
CopiedTable copied_table(const std::string& name);

}  // namespace hone::model
