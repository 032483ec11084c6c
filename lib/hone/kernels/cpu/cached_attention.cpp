#include "hone/kernels/cpu/cached_attention.h"

#include "hone/kernels/cpu/rows.h"

namespace hone::kernels {
namespace {

template <class T>
void softmax_row(T* x, int64_t count) {
  const T largest = largest_of_row(count, x);
  for (int64_t i = 0; i < count; ++i) x[i] = exponential(x[i] - largest);
  const T factor = 1 / sum_row<T>(count, [&](int64_t i) { return x[i]; });
  for (int64_t i = 0; i < count; ++i) x[i] *= factor;
}

/// G queries that share a key head, over its first `length` positions, `stride` numbers apart.
/// q [G, E], out [G, F]; scores [G, length] is working space.
template <class T>
void attend_head(const T* q, const T* keys, const T* values, int64_t group, int64_t width,
                 int64_t value_width, int64_t length, int64_t stride, T scale, T* scores,
                 T* __restrict out) {
  for (int64_t s = 0; s < length; ++s) {
    for (int64_t g = 0; g < group; ++g) {
      scores[g * length + s] = scale * dot(q + g * width, keys + s * stride, width);
    }
  }
  for (int64_t g = 0; g < group; ++g) softmax_row(scores + g * length, length);
  for (int64_t i = 0; i < group * value_width; ++i) out[i] = 0;
  for (int64_t s = 0; s < length; ++s) {
    const T* value = values + s * stride;
    for (int64_t g = 0; g < group; ++g) {
      const T weight = scores[g * length + s];
      for (int64_t f = 0; f < value_width; ++f) out[g * value_width + f] += weight * value[f];
    }
  }
}

}  // namespace

template <class T>
template <machine::Isa>
void CachedAttentionRows<T>::rows(int64_t begin, int64_t end) const {
  const int64_t stride = heads * width;
  int64_t longest = 0;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t length = past[task / heads] + 1;
    longest = length > longest ? length : longest;
  }
  T* scores = new T[group * longest];  // no container: see rows.h
  for (int64_t task = begin; task < end; ++task) {
    const int64_t d = task / heads, length = past[d] + 1;
    const int64_t base = (first_row + d) * capacity * stride + task % heads * width;
    attend_head(q + task * group * width, keys + base, values + base, group, width, value_width,
                length, stride, scale, scores, out + task * group * value_width);
  }
  delete[] scores;
}

HONE_LOOPS(CachedAttentionRows);

}  // namespace hone::kernels
