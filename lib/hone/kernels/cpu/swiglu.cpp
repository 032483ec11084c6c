#include "hone/kernels/cpu/swiglu.h"

#include "hone/kernels/cpu/rows.h"

namespace hone::kernels {
template <class T>
template <machine::Isa>
void SwiGluForward<T>::rows(int64_t begin, int64_t end) const {
  for (int64_t row = begin; row < end; ++row) {
    const T *g = gate + row * gate_stride, *u = up + row * up_stride;
    T* __restrict y = out + row * width;
    for (int64_t i = 0; i < width; ++i) y[i] = clamped_swiglu(g[i], u[i], limit);
  }
}

template <class T>
template <machine::Isa>
void SwiGluBackward<T>::rows(int64_t begin, int64_t end) const {
  for (int64_t row = begin; row < end; ++row) {
    const T *in = gate + row * gate_stride, *u = up + row * up_stride, *g = grad + row * width;
    T* __restrict to_gate = grad_gate + row * width;
    T* __restrict to_up = grad_up + row * width;
    for (int64_t i = 0; i < width; ++i) {
      const SwiGluGrads<T> grads = clamped_swiglu_grads(g[i], in[i], u[i], limit);
      to_gate[i] = grads.gate;
      to_up[i] = grads.up;
    }
  }
}

HONE_LOOPS(SwiGluForward);
HONE_LOOPS(SwiGluBackward);

}  // namespace hone::kernels
