/// Output projection and cross-entropy in chunks, so that the logits never exist whole.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hone::kernels {

/// Logits held at once, in bytes: large enough for efficient products, small beside [T, V].
inline constexpr int64_t kChunkBytes = int64_t{64} << 20;

/// sum_t token_weights[t] * nll[t] with nll[t] = -log softmax(hidden[t] weight^T)[targets[t]] over
/// targets[t] != ignore_index: a scalar, float32 (float64 for float64 input), undivided.
///
/// Shapes: hidden [T, D]; weight [V, D] of the same dtype; targets [T] int64 in [0, V) or
///   ignore_index; token_weights [T], undefined = 1 everywhere.
/// Gradient: to hidden and weight, computed chunk by chunk in the forward pass, only for those that
///   require it, and handed out by backward, which runs once only. Once differentiable.
/// Memory: kChunkBytes of logits, overwritten by their gradient, beside the two gradients.
/// Throws: c10::ValueError naming the argument; c10::IndexError for a target outside [0, V).
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& targets, const at::Tensor& token_weights,
                                int64_t ignore_index = -100, int64_t chunk_bytes = kChunkBytes);

/// nll[t] of each target, [T] float32 (float64), 0 at ignored ones; no gradient.
at::Tensor linear_nll(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                      int64_t ignore_index = -100, int64_t chunk_bytes = kChunkBytes);

}  // namespace hone::kernels
