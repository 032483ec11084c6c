/// The loops of swiglu, over rows of `width` adjoining numbers.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

/// out = gate * sigmoid(gate) * up, both clamped (cpu/rows.h). Rows of gate and up are so many
/// numbers apart.
template <class T>
struct SwiGluForward {
  int64_t width, gate_stride, up_stride;
  T limit;
  const T *gate, *up;
  T *out;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

/// With s = sigmoid(gate): d(gate) = g up s (1 + gate (1 - s)), d(up) = g gate s.
template <class T>
struct SwiGluBackward {
  int64_t width, gate_stride, up_stride;
  T limit;
  const T *grad, *gate, *up;
  T *grad_gate, *grad_up;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels
