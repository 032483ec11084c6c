/// The loops of linear_cross_entropy, over the rows of a chunk's logits.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

/// nll[n] of each row; if `factors` are given, the logits become d(sum factor * nll)/d(logits).
template <class T>
struct CrossEntropyRows {
  int64_t width;
  const int64_t* targets;
  const T* factors;  ///< null for no gradient
  T *logits, *nll;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels
