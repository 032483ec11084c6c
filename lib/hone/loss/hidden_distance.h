/// How far a student's hidden states are from its teacher's.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::loss {

enum class HiddenDistance {
  kCosine,  ///< 1 - a.b / (|a| |b|)
  kMse,     ///< mean over the width of (a - b)^2
};

/// sum_t weights[t] d(a_t, b_t), a = student projection^T, b the teacher's: a scalar, undivided, in
/// float32 (float64 for float64 input).
///
/// Shapes: student [T, D]; projection [E, D] of its dtype, undefined where D = E; teacher [T, E];
///   weights [T].
/// Gradient: to student and projection; of d to a, the cosine's is (cos a/|a| - b/|b|) / |a|, that
///   of the squares 2 (a - b) / E.
/// Throws: c10::ValueError naming the argument.
/// Source: Sanh et al. 2019 (DistilBERT, cosine), Jiao et al. 2019 (TinyBERT, squares, projection).
at::Tensor hidden_distance(HiddenDistance kind, const at::Tensor& student,
                           const at::Tensor& projection, const at::Tensor& teacher,
                           const at::Tensor& weights);

}  // namespace hone::loss
