/// Output projection and cross-entropy in chunks, so that the logits never exist whole.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "hone/kernels/divergence.h"
#include "hone/kernels/top_tokens.h"

namespace hone::kernels {

/// Logits held at once on the CPU, in bytes, unless that were fewer than 256 rows of them.
inline constexpr int64_t kChunkBytes = int64_t{64} << 20;

/// Positions whose logits are held at once where the caller does not say: kChunkBytes of float32
/// on the CPU, but at least 256, below which products and the passes over the weight's gradient,
/// one a chunk, take markedly longer; elsewhere 2048.
int64_t chunk_rows(int64_t vocabulary, at::Device device);

/// Rows of a chunk's logits that are taken through float32 at once where our own loops do not run
/// (on other devices and of half types): two copies of theirs, of about 64 MiB each, are held
/// beside the chunk.
int64_t wide_rows(int64_t vocabulary);

/// sum_t token_weights[t] * nll[t] with nll[t] = -log softmax(hidden[t] weight^T)[targets[t]] over
/// targets[t] != ignore_index: a scalar, float32 (float64 for float64 input), undivided.
///
/// Shapes: hidden [T, D]; weight [V, D] of the same dtype; targets [T] int64 in [0, V) or
///   ignore_index; token_weights [T], undefined = 1 everywhere.
/// Gradient: to hidden and weight, computed chunk by chunk in the forward pass, only for those that
///   require it, and handed out by backward, which runs once only. Once differentiable.
/// Memory: the logits of one chunk, overwritten by their gradient, beside the two gradients.
/// `rows_per_chunk` 0 takes chunk_rows(). `token_nll` [T], where defined, of the result's dtype,
/// receives nll[t], 0 at ignored targets.
/// Throws: c10::ValueError naming the argument; c10::IndexError for a target outside [0, V).
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& targets, const at::Tensor& token_weights,
                                int64_t ignore_index = -100, int64_t rows_per_chunk = 0,
                                const at::Tensor& token_nll = {});

/// A teacher's rows for linear_distillation: whole ones, softmax(hidden weight^T), or `top`.
struct SoftTargets {
  at::Tensor hidden;                            ///< [T, D'], of the student's dtype; no gradient
  at::Tensor weight;                            ///< [V', D']
  std::optional<TopTokens> top = std::nullopt;  ///< its vocabulary at most V
  DivergenceOptions options;
  double share = 0.5;     ///< of the divergence in the loss, in [0, 1]; the rest is nll's
  at::Tensor divergence;  ///< [T], where defined: receives each target's, 0 at ignored ones
};

/// linear_cross_entropy of (1 - share) nll[t] + share divergence[t], where divergence[t] is that of
/// the student's row, softmax(hidden[t] weight^T), from the teacher's (kernels/divergence.h). The
/// vocabularies may be padded to different lengths: rows beyond the shorter one have no part in
/// the divergence. Of cut rows it is top_divergence(), of those of ignored targets nothing.
/// Memory: one chunk of the teacher's logits more.
at::Tensor linear_distillation(const at::Tensor& hidden, const at::Tensor& weight,
                               const at::Tensor& targets, const at::Tensor& token_weights,
                               const SoftTargets& soft, int64_t ignore_index = -100,
                               int64_t rows_per_chunk = 0, const at::Tensor& token_nll = {});

/// nll[t] of each target, [T] float32 (float64), 0 at ignored ones; no gradient.
at::Tensor linear_nll(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                      int64_t ignore_index = -100, int64_t rows_per_chunk = 0);

}  // namespace hone::kernels
