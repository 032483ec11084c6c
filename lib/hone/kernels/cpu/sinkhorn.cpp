#include "hone/kernels/cpu/sinkhorn.h"

#include "hone/kernels/cpu/rows.h"

namespace hone::kernels {

template <class T>
template <machine::Isa>
void SinkhornForward<T>::rows(int64_t begin, int64_t end) const {
  const int64_t halves = 2 * iterations - 1;
  for (int64_t row = begin; row < end; ++row) {
    const T* z = logits + row * width * width;
    T* a = out + row * width * width;
    for (int64_t i = 0; i < width; ++i) {
      const T largest = largest_of_row(width, z + i * width);
      T sum = 0;
      for (int64_t j = i * width; j < (i + 1) * width; ++j) {
        a[j] = exponential(z[j] - largest);
        sum += a[j];
      }
      for (int64_t j = i * width; j < (i + 1) * width; ++j) a[j] = a[j] / sum + eps;
    }
    for (int64_t half = 0; half < halves; ++half) {
      // Line i, a column first, is a[i * line + j * step].
      const int64_t line = half % 2 == 0 ? 1 : width, step = half % 2 == 0 ? width : 1;
      for (int64_t i = 0; i < width; ++i) {
        T sum = 0;
        for (int64_t j = 0; j < width; ++j) sum += a[i * line + j * step];
        sum += eps;
        for (int64_t j = 0; j < width; ++j) a[i * line + j * step] /= sum;
        if (divisors) divisors[(row * halves + half) * width + i] = sum;
      }
    }
  }
}

template <class T>
template <machine::Isa>
void SinkhornBackward<T>::rows(int64_t begin, int64_t end) const {
  const int64_t halves = 2 * iterations - 1;
  for (int64_t row = begin; row < end; ++row) {
    T *a = out + row * width * width, *g = grad + row * width * width;
    for (int64_t half = halves - 1; half >= 0; --half) {
      const int64_t line = half % 2 == 0 ? 1 : width, step = half % 2 == 0 ? width : 1;
      for (int64_t i = 0; i < width; ++i) {
        const T divisor = divisors[(row * halves + half) * width + i];
        T sum = 0;
        for (int64_t j = 0; j < width; ++j) sum += g[i * line + j * step] * a[i * line + j * step];
        for (int64_t j = 0; j < width; ++j) {
          g[i * line + j * step] = (g[i * line + j * step] - sum) / divisor;
          a[i * line + j * step] *= divisor;
        }
      }
    }
    for (int64_t i = 0; i < width; ++i) {
      T *p = a + i * width, *of = g + i * width, sum = 0;
      for (int64_t j = 0; j < width; ++j) sum += of[j] * (p[j] - eps);
      for (int64_t j = 0; j < width; ++j) of[j] = (p[j] - eps) * (of[j] - sum);
    }
  }
}

HONE_LOOPS(SinkhornForward);
HONE_LOOPS(SinkhornBackward);

}  // namespace hone::kernels
