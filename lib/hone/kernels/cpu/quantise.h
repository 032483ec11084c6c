/// The loops of kernels/quantise.h and of rows by packed weights.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

/// Rounds rows of `width` numbers, the items, as quantise_rows says.
struct QuantiseRows {
  int64_t width;
  float divisor;
  float least;  ///< of the codes
  const float* from;
  int8_t* codes;
  float* scales;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

/// out = code * scale, of rows of `width` codes, the items, in groups of `group`.
struct DequantiseRows {
  int64_t width, group;
  int64_t bits;           ///< 4 or 8
  const int8_t* codes;    ///< a byte each, where there are no words
  const uint32_t* words;  ///< codes that share words, rows of whole ones; else nullptr
  const float* scales;
  float* out;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

/// Words whose codes are multiplied together.
constexpr int64_t kWordsTogether = 16;

/// out[n] = x . row n of the weight, of one row x: the weight's rows are the items.
struct RowByQuantised {
  DequantiseRows weight;  ///< out is not used
  const float* x;
  /// Of codes in words: x in blocks of kWordsTogether words, of each block first what meets the
  /// words' lowest codes, then the next. A rest stays as it is.
  const float* permuted;
  float* out;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels
