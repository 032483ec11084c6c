#include "hone/kernels/cpu/linear_cross_entropy.h"

#include "hone/kernels/cpu/rows.h"

namespace hone::kernels {

template <class T>
template <machine::Isa>
void CrossEntropyRows<T>::rows(int64_t begin, int64_t end) const {
  for (int64_t row = begin; row < end; ++row) {
    T* x = logits + row * width;
    const T largest = largest_of_row(width, x), target = x[targets[row]];
    for (int64_t i = 0; i < width; ++i) x[i] = exponential(x[i] - largest);
    const T sum = sum_row<T>(width, [&](int64_t i) { return x[i]; });
    nll[row] = logarithm(sum) - (target - largest);
    if (!factors) continue;
    const T factor = factors[row], scale = factor / sum;
    for (int64_t i = 0; i < width; ++i) x[i] *= scale;
    x[targets[row]] -= factor;
  }
}

HONE_LOOPS(CrossEntropyRows);

}  // namespace hone::kernels
