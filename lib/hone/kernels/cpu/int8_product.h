/// The loops of kernels/quantised_linear.h's product of 8-bit integers.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

/// out[m, n] = float(sum over k of x[m, k] w[n, k]) * x_scales[m] * w_scales[n] + bias[n].
///
/// Both operands lie row by row, w as files have it: an output is the product of two rows, and
/// small blocks of outputs are summed in registers at once. By VNNI, which multiplies unsigned by
/// signed, w counts as w + 128, and 128 times the sum of x's row is taken off again.
struct Int8Product {
  int64_t rows, columns, depth;
  const int8_t *x, *w;
  const int16_t* wide_x;    ///< x again, of kAvx2
  const int32_t* row_sums;  ///< 128 times the sum of each row of x, of the others
  const float *x_scales, *w_scales;
  const float* bias;  ///< nullptr for none
  float* out;

  /// Columns [begin, end) of all rows. By one instruction set, to the bit as by any other.
  template <machine::Int8Isa>
  void run(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels
