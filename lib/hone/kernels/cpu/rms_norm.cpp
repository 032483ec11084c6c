#include "hone/kernels/cpu/rms_norm.h"

#include "hone/kernels/cpu/rows.h"

namespace hone::kernels {

template <class T>
template <machine::Isa>
void RmsNormForward<T>::rows(int64_t begin, int64_t end) const {
  for (int64_t row = begin; row < end; ++row) {
    const T* from = x + row * width;
    T* __restrict out = y + row * width;
    const T squares = sum_row<T>(width, [&](int64_t i) { return from[i] * from[i]; });
    const T scale = 1 / root(squares / static_cast<T>(width) + static_cast<T>(eps));
    scales[row] = scale;
    for (int64_t i = 0; i < width; ++i) out[i] = weight[i] * (from[i] * scale);
  }
}

template <class T>
template <machine::Isa>
void RmsNormBackward<T>::rows(int64_t begin, int64_t end) const {
  for (int64_t part = begin; part < end; ++part) {
    double* sum = sums + part * width;
    const int64_t last = row_count * (part + 1) / parts;
    for (int64_t row = row_count * part / parts; row < last; ++row) {
      const T *g = grad + row * width, *from = x + row * width;
      T* __restrict out = grad_x + row * width;
      const T scale = scales[row];
      const T dot = sum_row<T>(width, [&](int64_t i) { return g[i] * weight[i] * from[i]; });
      const T pull = dot / static_cast<T>(width) * scale * scale;
      for (int64_t i = 0; i < width; ++i) out[i] = scale * (g[i] * weight[i] - from[i] * pull);
      for (int64_t i = 0; i < width; ++i) sum[i] += g[i] * from[i] * scale;
    }
  }
}

HONE_LOOPS(RmsNormForward);
HONE_LOOPS(RmsNormBackward);

}  // namespace hone::kernels
