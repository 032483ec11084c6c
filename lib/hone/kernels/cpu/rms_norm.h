/// The loops of rms_norm, over rows of `width` adjoining numbers.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

/// y = weight * (x * scale), scale = 1 / sqrt(mean(x^2) + eps), which is kept.
template <class T>
struct RmsNormForward {
  int64_t width;
  double eps;
  const T *x, *weight;
  T *y, *scales;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

/// dx = scale * (g w - x scale^2 mean(g w x)) of `row_count` rows in `parts` parts, the items here;
/// sums [parts, width] grow by sum_r g x scale of each part.
template <class T>
struct RmsNormBackward {
  int64_t width, row_count, parts;
  const T *grad, *x, *weight, *scales;
  T *grad_x;
  double *sums;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels
