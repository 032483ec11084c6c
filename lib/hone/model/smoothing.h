/// Outliers of a model's activations, moved into its weights, where they round better.
///
/// SmoothQuant (Xiao et al. 2023): an input channel that is large makes its token's scale coarse
/// for all others. Divided by s where it comes from and multiplied by s in the columns that take it
/// in, it leaves the model what it was.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "hone/model/decoder.h"
#include "hone/model/pruned/residual_stream.h"

namespace hone::model {

/// What smooth() did.
struct Smoothed {
  int64_t folds = 0;              ///< places at which channels were scaled
  std::vector<std::string> left;  ///< linear layers of the blocks whose inputs stay as they are
};

/// Scales each input channel j of the blocks' linear layers, over the calibration text that
/// `passes` runs: s_j = (largest - smallest input)^alpha / (2 largest |W_:j| of the layers that
/// take it)^(1 - alpha), at least 1e-5, 1 for a channel that carries nothing. It is divided out
///   of input_layernorm for q_proj, k_proj, v_proj (or q_a_proj, kv_a_proj_with_mqa),
///   of post_attention_layernorm for gate_proj and up_proj,
///   of q_a_layernorm for q_b_proj,
///   of up_proj's rows, bias included, for down_proj, of which they are a factor,
///   of v_proj's rows for o_proj, alike for the query heads that share a key head.
/// Left as they are: layers behind a norm that routers and experts read too, latent attention's
/// kv_b_proj and o_proj. The logits stay what they were, within rounding.
/// Throws: hone::Error for a decoder with an adapter, or with integers. Source: the ranges and the
/// factor 2 are llm-compressor's (modifiers/transform/smoothquant).
Smoothed smooth(Decoder& decoder, double alpha, const Passes& passes);

}  // namespace hone::model
