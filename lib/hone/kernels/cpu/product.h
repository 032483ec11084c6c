/// The loops of kernels/product.h.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

/// out[o] = x . weight[o], x of `width` numbers.
template <class T>
struct ProductOfOneRow {
  int64_t width;
  const T *x, *weight;
  T* out;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

constexpr int64_t kPanel = 64;    ///< rows or columns of a product that are worked on at once
constexpr int64_t kDepth = 1024;  ///< terms that are summed at once: two panels fit the L2 cache

/// Terms as they are laid out: rounded up to what all block sizes of a product divide.
constexpr int64_t padded_depth(int64_t depth) { return (depth + kPanel - 1) / kPanel * kPanel; }

/// Rounds an operand [lines, depth] to bfloat16, to nearest and even, and lays it out as the
/// product reads it, panel by panel of kPanel lines, the items here; block by block of kDepth terms
/// within; zeros beyond its ends. In a block of d terms they lie [line][term], or, `interleaved`,
/// [d/2][line][2].
struct PackPanels {
  int64_t lines, depth;
  int64_t line_stride, depth_stride;  ///< of `from`; one of them is 1
  bool interleaved;
  const float* from;
  uint32_t* to;  ///< pairs of numbers: kPanel * padded_depth(depth) / 2 a panel

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels
