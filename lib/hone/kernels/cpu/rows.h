/// Loops over one row of numbers, written so that compilers turn them into vector code.
///
/// Made for the sources of cpu/, which are compiled once per instruction set: all here is static,
/// and calls no function of the standard library that is inline: a linker keeps one copy of an
/// inline function or template for the whole program, and that copy could be AVX-512 code on a
/// machine that has none. tests/kernels/isa.py looks into the objects for such copies.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

/// Instantiates a template of loops (kernels/dispatch.h) for this object's instruction set.
#define HONE_LOOPS(Loops)                                                           \
  template void Loops<float>::rows<machine::Isa::HONE_ISA>(int64_t, int64_t) const; \
  template void Loops<double>::rows<machine::Isa::HONE_ISA>(int64_t, int64_t) const

namespace hone::kernels {

// Sums of floats may not be reordered by a compiler; independent sums in lanes may run in one
// register.
constexpr int64_t kLanes = 32;

/// combine over term(0), ..., term(count - 1), from `start`, lane by lane.
template <class T, class Term, class Combine>
static T reduce_row(int64_t count, T start, Term term, Combine combine) {
  T lanes[kLanes];
  for (T& lane : lanes) lane = start;
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
static T sum_row(int64_t count, Term term) {
  return reduce_row<T>(count, T(0), term, [](T a, T b) { return a + b; });
}

template <class T>
static T largest_of_row(int64_t count, const T* x) {
  return reduce_row<T>(
      count, x[0], [&](int64_t i) { return x[i]; }, [](T a, T b) { return a > b ? a : b; });
}

/// The scalar product of two rows, in 16 independent sums (32, as sum_row has, took a third longer
/// at 288 numbers).
template <class T>
static T dot(const T* a, const T* b, int64_t count) {
  constexpr int64_t kDotLanes = 16;
  T lanes[kDotLanes] = {};
  int64_t i = 0;
  for (; i + kDotLanes <= count; i += kDotLanes) {
    for (int64_t lane = 0; lane < kDotLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (int64_t lane = 0; i < count; ++i, ++lane) lanes[lane] += a[i] * b[i];
  for (int64_t width = kDotLanes / 2; width > 0; width /= 2) {
    for (int64_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

static inline float root(float x) { return __builtin_sqrtf(x); }
static inline double root(double x) { return __builtin_sqrt(x); }
static inline float logarithm(float x) { return __builtin_logf(x); }
static inline double logarithm(double x) { return __builtin_log(x); }

/// ln(1 + x) for x in [0, 1]. For float within 2e-8, the series of the inverse hyperbolic tangent,
/// which becomes vector code.
static inline float log_1p(float x) {
  const float z = x / (x + 2), square = z * z;
  float p = 1.0f / 13;
  p = p * square + 1.0f / 11;
  p = p * square + 1.0f / 9;
  p = p * square + 1.0f / 7;
  p = p * square + 1.0f / 5;
  p = p * square + 1.0f / 3;
  return 2 * z * (p * square + 1);
}
static inline double log_1p(double x) { return __builtin_log1p(x); }

/// e^x. For float within 2 units in the last place, without branches or calls, so that loops over
/// it become vector code (Cody-Waite reduction, the polynomial of Cephes' expf); below -87.3 it
/// stays at 1e-38, above 88.4 at 2e38; NaN stays NaN.
static inline float exponential(float x) {
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
  const uint32_t exponent = (__builtin_bit_cast(uint32_t, shifted) + 127u) << 23;
  return p * __builtin_bit_cast(float, exponent);
}
static inline double exponential(double x) { return __builtin_exp(x); }

template <class T>
static T sigmoid(T x) {
  return 1 / (1 + exponential(-x));
}

/// silu(min(gate, limit)) * clamp(up, -limit, limit). NaN stays NaN.
template <class T>
static T clamped_swiglu(T gate, T up, T limit) {
  const T g = gate > limit ? limit : gate;
  const T u = up > limit ? limit : up < -limit ? -limit : up;
  return g * sigmoid(g) * u;
}

template <class T>
struct SwiGluGrads {
  T gate, up;
};

/// From the gradient of clamped_swiglu to those of gate and up, which are 0 beyond the limit.
template <class T>
static SwiGluGrads<T> clamped_swiglu_grads(T grad, T gate, T up, T limit) {
  const T g = gate > limit ? limit : gate;
  const T u = up > limit ? limit : up < -limit ? -limit : up;
  const T s = sigmoid(g);
  return {gate > limit ? 0 : grad * u * s * (1 + g * (1 - s)),
          up > limit || up < -limit ? 0 : grad * g * s};
}

}  // namespace hone::kernels
