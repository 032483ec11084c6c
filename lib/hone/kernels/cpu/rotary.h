/// The loops of apply_rotary, over positions.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

/// Rotates the last `rotated` of each head's `width` numbers forward, or `back` by the negative
/// angles: the transpose, which carries gradients. Pairs are `adjoining` numbers, or those of two
/// halves. Positions of x are `stride` numbers apart, their heads adjoin.
template <class T>
struct RotaryRows {
  int64_t heads, width, rotated, stride;
  bool adjoining, back;
  const T *x, *cos, *sin;
  T* y;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels
