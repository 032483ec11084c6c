#include "hone/kernels/cpu/rotary.h"

#include "hone/kernels/cpu/rows.h"

namespace hone::kernels {
namespace {

template <bool kBack, class T>
void rotate_head(int64_t half, const T* x, const T* c, const T* s, T* __restrict y) {
  for (int64_t i = 0; i < half; ++i) {
    const T first = x[i], second = x[i + half];
    if constexpr (kBack) {
      y[i] = first * c[i] + second * s[i + half];
      y[i + half] = second * c[i + half] - first * s[i];
    } else {
      y[i] = first * c[i] - second * s[i];
      y[i + half] = second * c[i + half] + first * s[i + half];
    }
  }
}

template <bool kBack, class T>
void rotate_adjoining(int64_t half, const T* x, const T* c, const T* s, T* __restrict y) {
  for (int64_t i = 0; i < half; ++i) {
    const T first = x[2 * i], second = x[2 * i + 1], sine = kBack ? -s[i] : s[i];
    y[2 * i] = first * c[i] - second * sine;
    y[2 * i + 1] = second * c[i] + first * sine;
  }
}

}  // namespace

template <class T>
template <machine::Isa>
void RotaryRows<T>::rows(int64_t begin, int64_t end) const {
  const auto rotate = adjoining ? (back ? rotate_adjoining<true, T> : rotate_adjoining<false, T>)
                                : (back ? rotate_head<true, T> : rotate_head<false, T>);
  const int64_t kept = width - rotated;
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t h = 0; h < heads; ++h) {
      const T* from = x + t * stride + h * width;
      T* to = y + (t * heads + h) * width;
      for (int64_t i = 0; i < kept; ++i) to[i] = from[i];
      rotate(rotated / 2, from + kept, cos + t * rotated, sin + t * rotated, to + kept);
    }
  }
}

HONE_LOOPS(RotaryRows);

}  // namespace hone::kernels
