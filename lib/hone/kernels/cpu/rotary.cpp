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

}  // namespace

template <class T>
template <machine::Isa>
void RotaryRows<T>::rows(int64_t begin, int64_t end) const {
  const auto rotate = back ? rotate_head<true, T> : rotate_head<false, T>;
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t h = 0; h < heads; ++h) {
      rotate(width / 2, x + t * stride + h * width, cos + t * width, sin + t * width,
             y + (t * heads + h) * width);
    }
  }
}

HONE_LOOPS(RotaryRows);

}  // namespace hone::kernels
