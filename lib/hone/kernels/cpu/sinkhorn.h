/// The loops of sinkhorn, over matrices of `width` by `width` numbers.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

template <class T>
struct SinkhornForward {
  int64_t width, iterations;
  T eps;
  const T *logits;
  T *out;
  /// [rows, 2 iterations - 1, width]: what columns and rows in turn are divided by; or null.
  T *divisors;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

/// Goes back by what SinkhornForward gave, which it changes, and its divisors d: where y = x / d,
///   x = y d,  d(x) = (g - sum over the column or row of g y) / d.
template <class T>
struct SinkhornBackward {
  int64_t width, iterations;
  T eps;
  const T *divisors;
  T *out;
  T *grad;  ///< of the result; then of the logits

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels
