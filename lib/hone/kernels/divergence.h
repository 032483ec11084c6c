/// How far a student's rows of probabilities are from a teacher's.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// Of a teacher's p and a student's q, both softmax(logits / temperature).
enum class Divergence {
  kForwardKl,  ///< sum p ln(p / q)
  kReverseKl,  ///< sum q ln(q / p)
  kJsd,        ///< beta KL(p || m) + (1 - beta) KL(q || m), m = beta p + (1 - beta) q
};

struct DivergenceOptions {
  Divergence kind = Divergence::kForwardKl;
  double beta = 0.5;       ///< of kJsd, in (0, 1)
  double temperature = 1;  ///< above 0
  bool squared = true;     ///< times temperature^2, which keeps the gradient's size (Hinton 2015)
};

/// The divergence of each row [n], wide (float64 for float64, else float32). Where `factors` [n]
/// are given, wide too, `teacher` becomes d(sum factor * divergence)/d(student).
///
/// Shapes: student [n, V'], teacher [n, V] of one dtype, V <= V': logits. Over the first V of both,
///   so that rows which pad the longer vocabulary get no part.
/// Source: Agarwal et al. 2023 (GKD), equation 1, for kJsd; its ends, beta 0 and 1, are the other
///   two only after division by beta (1 - beta). Parity: TRL's generalized_jsd_loss
///   (tests/interop/kernels_divergence.py).
at::Tensor divergence(const at::Tensor& student, at::Tensor& teacher, const at::Tensor& factors,
                      const DivergenceOptions& options);

}  // namespace hone::kernels
