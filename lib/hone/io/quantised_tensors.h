/// Tensors to codes with scales and back (io/quantisation.h). What needs float32 beside its result
/// is done some rows at a time, so that no second copy of a weight is made.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <string>

#include "hone/core/json.h"
#include "hone/io/quantisation.h"
#include "hone/io/tensors.h"

namespace hone::io {

/// Rows of `columns` numbers that are worked on at once, about a million numbers, as their first
/// and one past their last: all of [0, rows), cut only at multiples of `multiple`.
void by_rows(int64_t rows, int64_t columns, int64_t multiple,
             const std::function<void(int64_t begin, int64_t end)>& work);

/// Float32 [rows, in] from the codes of these rows; `first_row` is the place of the first in the
/// weight. `scales` float32, all of the weight's.
at::Tensor decoded(const at::Tensor& codes, const at::Tensor& scales, const BlockFormat& format,
                   int64_t first_row);

/// The weight [out, in] itself: computed in float32, rounded once to `dtype`.
/// codes [out, in or in / 2], scales [ceil(out / rows), ceil(in / columns)], both as files have
/// them, on the CPU.
at::Tensor dequantise(const at::Tensor& codes, const at::Tensor& scales, const BlockFormat& format,
                      at::ScalarType dtype);

/// Scales for `weight` [out, in], in `type` (float32, bfloat16 or e8m0): of each block the largest
/// magnitude over the largest code; 1 for a block of zeros. Powers of two, where the format or the
/// type wants them, are the next above, so that nothing overflows. Numbers that are not finite
/// count in FP4 only, where no code says them: their block's scale is NaN.
at::Tensor block_scales(const at::Tensor& weight, const BlockFormat& format, at::ScalarType type);

/// The codes of `rows` [n, in], rounded to nearest, ties to even, as `type` (the files' of the
/// codes); `first_row` is the place of the first in the weight, `scales` all of the weight's, of
/// any type. What is not finite becomes FP8's NaN.
at::Tensor encoded(const at::Tensor& rows, const at::Tensor& scales, const BlockFormat& format,
                   int64_t first_row, at::ScalarType type);

/// `tensors` with each pair of codes and scales, as `config` (config.json) tells them, as one
/// tensor of numbers of `dtype`. Throws: IoError naming `source` and all that does not fit.
NamedTensors as_numbers(const NamedTensors& tensors, const Json& config, at::ScalarType dtype,
                        const std::string& source);

}  // namespace hone::io
