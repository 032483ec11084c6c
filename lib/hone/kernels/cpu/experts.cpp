#include "hone/kernels/cpu/experts.h"

#include "hone/kernels/cpu/rows.h"

namespace hone::kernels {

template <class T>
template <machine::Isa>
void AddExpertRows<T>::rows(int64_t begin, int64_t end) const {
  for (int64_t row = begin; row < end; ++row) {
    const T weight = weights ? weights[places[row]] : 1;
    const T* from = y + row * width;
    T* __restrict to = out + tokens[row] * width;
    for (int64_t i = 0; i < width; ++i) to[i] += weight * from[i];
  }
}

template <class T>
template <machine::Isa>
void CombineExpertRows<T>::rows(int64_t begin, int64_t end) const {
  for (int64_t t = begin; t < end; ++t) {
    T* __restrict to = out + t * width;
    for (int64_t i = 0; i < width; ++i) to[i] = 0;
    for (int64_t k = t * each; k < (t + 1) * each; ++k) {
      const T weight = weights ? weights[k] : 1;
      const T* row = y + from[k] * width;
      for (int64_t i = 0; i < width; ++i) to[i] += weight * row[i];
    }
  }
}

template <class T>
template <machine::Isa>
void ExpertsBackward<T>::rows(int64_t begin, int64_t end) const {
  for (int64_t row = begin; row < end; ++row) {
    const T *g = hidden + row * 2 * width, *u = g + width, *d = grad + row * width;
    const T weight = weights[places[row]];
    T* __restrict activated = scaled + row * width;
    T* __restrict to_gate = grad_hidden + row * 2 * width;
    T* __restrict to_up = to_gate + width;
    for (int64_t i = 0; i < width; ++i) {
      const SwiGluGrads<T> grads = clamped_swiglu_grads(weight * d[i], g[i], u[i], limit);
      activated[i] = clamped_swiglu(g[i], u[i], limit);
      to_gate[i] = grads.gate;
      to_up[i] = grads.up;
    }
    grad_weights[places[row]] = sum_row<T>(width, [&](int64_t i) { return d[i] * activated[i]; });
    for (int64_t i = 0; i < width; ++i) activated[i] *= weight;
  }
}

HONE_LOOPS(AddExpertRows);
HONE_LOOPS(CombineExpertRows);
HONE_LOOPS(ExpertsBackward);

}  // namespace hone::kernels
