/// A teacher's rows of probabilities cut to their likeliest tokens, and a student's distance.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "hone/kernels/divergence.h"

namespace hone::kernels {

/// The k likeliest of the first `vocabulary` tokens of each of T rows, and all others as one.
struct TopTokens {
  at::Tensor ids;        ///< [T, k] int64, likeliest first
  at::Tensor log_probs;  ///< [T, k] float32 (float64)
  at::Tensor log_tail;   ///< [T] of log_probs' dtype: ln of the others' mass; -inf with k = V
  int64_t vocabulary = 0;
};

/// What top_tokens() keeps, and the entropy [T] of the whole rows in nats.
struct TopRows {
  TopTokens top;
  at::Tensor entropy;
};

/// Of the rows softmax(hidden weight^T), of which a few exist at a time.
/// Shapes: hidden [T, D], weight [V, D] of one dtype. No gradient.
/// Throws: c10::ValueError unless k is in [1, V].
TopRows top_tokens(const at::Tensor& hidden, const at::Tensor& weight, int64_t k);

/// divergence() (kernels/divergence.h) of the student's rows from the teacher's where both give the
/// mass of all tokens but those of `ids` to one more: what is left of a row is neither lost nor
/// given to the tokens that were kept. Exact with k = V, and where the student spreads the rest as
/// the teacher does; else less than that of whole rows (data processing inequality).
///
/// The divergence [n], wide. Where `factors` [n] are given, wide too, `gradient` becomes
/// d(sum factor * divergence)/d(student) over the first `vocabulary` tokens [n, vocabulary], in the
/// student's dtype:
///   g_i = s_i of a kept token, g_j = s_tail q_j / q_tail of any other,
/// with s what divergence() gives of the k + 1 logarithms.
/// Shapes: student [n, V'], V' >= vocabulary: logits; teacher's tensors with n rows.
/// Throws: c10::ValueError for other shapes, and for a temperature other than 1, at which the mass
///   of the rest is not known.
at::Tensor top_divergence(const at::Tensor& student, const TopTokens& teacher,
                          const at::Tensor& factors, const DivergenceOptions& options,
                          at::Tensor& gradient);

}  // namespace hone::kernels
