#include "hone/loss/hidden_distance.h"

#include <torch/types.h>

#include "hone/kernels/dispatch.h"
#include "hone/kernels/product.h"

// Legend of suffixes: t tokens, e the teacher's width.
namespace hone::loss {

at::Tensor hidden_distance(HiddenDistance kind, const at::Tensor& student,
                           const at::Tensor& projection, const at::Tensor& teacher,
                           const at::Tensor& weights) {
  TORCH_CHECK_VALUE(student.dim() == 2 && teacher.dim() == 2 && student.size(0) == teacher.size(0),
                    "hidden_distance: student and teacher must be [T, D] and [T, E], got ",
                    student.sizes(), " and ", teacher.sizes());
  TORCH_CHECK_VALUE(weights.dim() == 1 && weights.size(0) == student.size(0),
                    "hidden_distance: weights must be [T] = [", student.size(0), "], got ",
                    weights.sizes());
  const at::Tensor projected_te =
      projection.defined() ? kernels::project(student, projection) : student;
  TORCH_CHECK_VALUE(projected_te.size(1) == teacher.size(1),
                    "hidden_distance: student needs a projection [", teacher.size(1), ", ",
                    student.size(1), "] to the teacher's width, got ",
                    projection.defined() ? projection.sizes() : at::IntArrayRef());
  const at::ScalarType wide = kernels::wide_type(student);
  const at::Tensor a_te = projected_te.to(wide), b_te = teacher.to(wide);
  const at::Tensor distance_t = kind == HiddenDistance::kMse
                                    ? (a_te - b_te).square().mean(1)
                                    : 1 - at::cosine_similarity(a_te, b_te, 1, 1e-8);
  return (distance_t * weights.to(wide)).sum();
}

}  // namespace hone::loss
