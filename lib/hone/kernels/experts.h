/// Gated MLPs, the experts, of which each token takes a few.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "hone/kernels/swiglu.h"

namespace hone::kernels {

/// The T K choices of tokens, those of expert 0 first, each expert's in the order of the tokens.
struct ExpertOrder {
  std::vector<int64_t> offsets;  ///< [E + 1]: expert e's begin at offsets[e]
  at::Tensor places;             ///< [T K] int64: where each lies in choices, t K + k
  at::Tensor tokens;             ///< [T K] int64: its token t
  at::Tensor rows;               ///< [T, K] int64: where each choice lies in this order
  bool repeats = false;          ///< whether a token has chosen one expert more than once
};

/// Sorts choices [T, K] int64, each in [0, experts). Throws: c10::ValueError.
ExpertOrder order_by_expert(const at::Tensor& choices, int64_t experts);

/// Low-rank changes of the weights of all experts: W[e] + scale b[e] a[e].
struct ExpertLora {
  at::Tensor a;  ///< [E, r, in]; undefined: there are none
  at::Tensor b;  ///< [E, out, r]
  double scale = 1;
};

/// out[t] = sum over k of weights[t, k] * down[e] swiglu(g, u, limit), (g, u) = gate_up[e] x[t],
///   e = choices[t, k].
///
/// Shapes: x [T, D]; weights [T, K], float32 beside half types; gate_up [E, 2 I, D], the gate's
/// rows first; down [E, D, I]; result [T, D]. `gate_up_lora` and `down_lora` change those two by
/// products over each expert's rows; no changed weight is made. Differentiable in all; an expert
/// that no token took gets gradients of 0. For its backward pass it keeps x and the 2 I numbers of
/// each choice; all else is made again, one expert at a time. The same to the bit whenever it runs.
/// Throws: c10::ValueError naming the shapes. Parity: transformers' experts of deepseek_v3 and
/// qwen3_moe (tests/parity), with PEFT's adapters on them (tests/interop/model_lora.py).
at::Tensor mixed_experts(const at::Tensor& x, const at::Tensor& weights, const at::Tensor& gate_up,
                         const at::Tensor& down, const ExpertOrder& order,
                         const ExpertLora& gate_up_lora = {}, const ExpertLora& down_lora = {},
                         double limit = kNoLimit);

}  // namespace hone::kernels
