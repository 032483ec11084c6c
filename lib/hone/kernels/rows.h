/// Loops over one row of numbers, written so that compilers turn them into vector code.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace hone::kernels {

/// Whether a tensor is one that our own loops take; others go through ATen's operations.
inline bool has_fused_path(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble);
}

/// float64 for float64, float32 for all else: the format of statistics and losses.
inline at::ScalarType wide_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// The numbers of a tensor, for reading. (at::Tensor's own const_data_ptr<T>() cannot be linked:
/// clang 19 mangles its template arguments otherwise than the GCC that built LibTorch.)
template <class T>
const T* read(const at::Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}

/// Rows a thread should get at least, so that starting it is worth while.
inline int64_t row_grain(int64_t width) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width));
}

// Sums of floats may not be reordered by a compiler; independent sums in lanes may run in one
// register.
constexpr int64_t kLanes = 32;

/// combine over term(0), ..., term(count - 1), from `start`, lane by lane.
template <class T, class Term, class Combine>
T reduce_row(int64_t count, T start, Term term, Combine combine) {
  T lanes[kLanes];
  std::fill_n(lanes, kLanes, start);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = combine(lanes[lane], term(i + lane));
  }
  for (int64_t lane = 0; i < count; ++i, ++lane) lanes[lane] = combine(lanes[lane], term(i));
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t lane = 0; lane < width; ++lane)
      lanes[lane] = combine(lanes[lane], lanes[lane + width]);
  }
  return lanes[0];
}

template <class T, class Term>
T sum_row(int64_t count, Term term) {
  return reduce_row<T>(count, T(0), term, [](T a, T b) { return a + b; });
}

/// e^x. For float within 2 units in the last place, without branches or calls, so that loops over
/// it become vector code (Cody-Waite reduction, the polynomial of Cephes' expf); below -87.3 it
/// stays at 1e-38, above 88.4 at 2e38; NaN stays NaN.
inline float exponential(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer below
  x = x < -87.33f ? -87.33f : x;
  x = x > 88.37f ? 88.37f : x;
  const float shifted = x * kLog2E + kRound;
  const float whole = shifted - kRound;
  const float r = (x - whole * kLn2High) - whole * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * r * r + r) + 1.0f;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 127u) << 23;
  return p * std::bit_cast<float>(exponent);
}
inline double exponential(double x) { return std::exp(x); }

}  // namespace hone::kernels
