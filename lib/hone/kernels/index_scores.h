/// Scores by which an indexer chooses the positions that a query sees, and how they learn.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hone::kernels {

/// scores[i, j] = sum_h weights[i, h] relu(q[i, h] k[j] / sqrt(W)): [L, P].
/// Shapes: q [L, I, W], k [P, W], weights [L, I], all of one type, float32 or float64. No gradient.
at::Tensor index_scores(const at::Tensor& q, const at::Tensor& k, const at::Tensor& weights);

/// True at the `chosen` largest numbers of each row of scores [L, P], the first of equal ones.
at::Tensor best_of_row(const at::Tensor& scores, int64_t chosen);

/// Sum over the L queries i of KL(target[i] || softmax of scores[i] over the seen positions), a
/// scalar: how far the scores are from what the attention's heads look at.
/// Shapes: `scores` is index_scores(q, k, weights); target [L, P], rows of sum 1 that are 0 where
///   `seen` [L, P] bool is false; in each row of that one is true.
/// Gradient: to q, k and weights, computed in the forward pass and handed out by backward, which
///   runs once only; no [L, P] numbers are kept. Once differentiable.
/// Source: DeepSeek-V3.2, section 2.1.
at::Tensor index_loss(const at::Tensor& q, const at::Tensor& k, const at::Tensor& weights,
                      const at::Tensor& scores, const at::Tensor& target, const at::Tensor& seen);

}  // namespace hone::kernels
