/// Numbers as integers with scales: how rows of tensors are rounded to 8 and 4 bits.
///
/// Symmetric, without zero points, half to even: codes = rint(x / scale), clamped to the range of
/// their bits. A row of zeros has scale 1; one with a number that is not finite has scale NaN and
/// codes 0, so that all that is computed of it is NaN.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace hone::kernels {

/// Of the largest magnitude of a row of activations, to its scale. 127 never clips and is what
/// vLLM computes; compressed-tensors' own arithmetic, which transformers runs, has 127.5.
constexpr double kInt8Divisor = 127;

/// Rows of integers with one scale each: x = scale * values.
struct Int8Rows {
  at::Tensor values;  ///< [n, k] int8, contiguous
  at::Tensor scales;  ///< [n] float32
};

/// x [n, k] of any floating type, computed in float32: scale = largest magnitude / divisor. Values
/// are in [-127, 127] for a divisor of 127 or less, else in [-128, 127]. No graph.
Int8Rows quantise_rows(const at::Tensor& x, double divisor = kInt8Divisor);

/// scale * values, float32 [n, k].
at::Tensor dequantise(const Int8Rows& rows);

/// How the weight of a linear layer is stored as integers.
struct WeightFormat {
  int64_t bits = 8;     ///< 8 or 4
  int64_t group = 0;    ///< columns that share a scale; 0: a whole row
  bool packed = false;  ///< codes share 32-bit words, else a byte each; 4 bits always do

  /// Scales of a row of so many columns. Throws: c10::ValueError where groups do not divide them.
  int64_t groups(int64_t columns) const;
  /// The largest code, 127 or 7; weights never use the one below its negative.
  int64_t largest() const { return bits == 8 ? 127 : 7; }
  bool operator==(const WeightFormat&) const = default;
};

/// A weight [n, k] as compressed-tensors stores it.
struct QuantisedWeight {
  WeightFormat format;
  int64_t columns = 0;  ///< k
  /// int8 [n, k]; packed: int32 [n, ceil(k bits / 32)], code i of a row in the bits from
  /// bits * i on, lowest first, offset by 2^(bits - 1).
  at::Tensor codes;
  at::Tensor scales;  ///< [n, groups], of the type they are stored in
};

/// Uninitialised memory for a weight [rows, columns].
QuantisedWeight empty_weight(const WeightFormat& format, int64_t rows, int64_t columns,
                             const at::TensorOptions& scales);

/// `weight` [n, k] rounded: scale = largest magnitude of the group / largest(), rounded to
/// `scale_type` before codes are made of it, so that every reader of the file sees one number.
QuantisedWeight quantise_weight(const at::Tensor& weight, const WeightFormat& format,
                                at::ScalarType scale_type = at::kFloat);

/// The numbers that the codes say, [n, k]: computed in float32, rounded once to `dtype`.
at::Tensor dequantise(const QuantisedWeight& weight, at::ScalarType dtype = at::kFloat);

/// The loops over the weight's rows, on the CPU; `scales` are its own as contiguous float32, which
/// must outlive them.
struct DequantiseRows loops_of(const QuantisedWeight& weight, const at::Tensor& scales);

}  // namespace hone::kernels
