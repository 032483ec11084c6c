#include "hone/kernels/quantise.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/kernels/cpu/quantise.h"
#include "hone/kernels/dispatch.h"

namespace hone::kernels {
namespace {

/// Of groups [..., k] float32: largest magnitude / divisor, 1 where that is 0, NaN where it is not
/// finite. [..., 1]
at::Tensor scales_of(const at::Tensor& groups, double divisor) {
  at::Tensor scales = groups.abs().amax(-1, true).div_(divisor);
  scales.masked_fill_(scales == 0, 1);
  return scales.masked_fill_(scales.isfinite().logical_not_(), NAN);
}

/// rint(groups / scales) in [least, largest], int8; 0 where it is NaN.
at::Tensor codes_of(const at::Tensor& groups, const at::Tensor& scales, int64_t least,
                    int64_t largest) {
  return (groups / scales).round_().clamp_(least, largest).nan_to_num_(0).to(at::kChar);
}

/// The bits of each code in its word, for those that share one: [32 / bits].
at::Tensor shifts(int64_t bits, at::Device device) {
  return at::arange(0, 32, bits, at::TensorOptions(at::kInt).device(device));
}

at::Tensor pack(const at::Tensor& codes, int64_t bits) {
  const int64_t each = 32 / bits, rows = codes.size(0);
  const int64_t words = (codes.size(1) + each - 1) / each;
  const at::Tensor padded = at::constant_pad_nd(codes.to(at::kInt).add_(int64_t{1} << (bits - 1)),
                                                {0, words * each - codes.size(1)});
  return padded.view({rows, words, each})
      .bitwise_left_shift(shifts(bits, codes.device()))
      .sum(-1, false, at::kLong)
      .to(at::kInt);
}

at::Tensor unpack(const at::Tensor& words, int64_t bits, int64_t columns) {
  return words.unsqueeze(-1)
      .bitwise_right_shift(shifts(bits, words.device()))
      .bitwise_and_((int64_t{1} << bits) - 1)
      .sub_(int64_t{1} << (bits - 1))
      .view({words.size(0), -1})
      .narrow(1, 0, columns)
      .to(at::kChar);
}

Int8Rows quantised_by_loops(const at::Tensor& x, double divisor, int64_t least) {
  Int8Rows rows{at::empty(x.sizes(), at::kChar), at::empty({x.size(0)}, at::kFloat)};
  run_rows(QuantiseRows{.width = x.size(1),
                        .divisor = static_cast<float>(divisor),
                        .least = static_cast<float>(least),
                        .from = read<float>(x),
                        .codes = rows.values.mutable_data_ptr<int8_t>(),
                        .scales = rows.scales.mutable_data_ptr<float>()},
           x.size(0), row_grain(x.size(1)));
  return rows;
}

at::Tensor dequantised_by_loops(const QuantisedWeight& weight) {
  const at::Tensor scales = weight.scales.to(at::kFloat).contiguous();
  at::Tensor out = at::empty({weight.codes.size(0), weight.columns}, at::kFloat);
  DequantiseRows loops = loops_of(weight, scales);
  loops.out = out.mutable_data_ptr<float>();
  run_rows(loops, out.size(0), row_grain(weight.columns));
  return out;
}

}  // namespace

DequantiseRows loops_of(const QuantisedWeight& weight, const at::Tensor& scales) {
  const WeightFormat& format = weight.format;
  return {.width = weight.columns,
          .group = format.group == 0 ? std::max<int64_t>(1, weight.columns) : format.group,
          .bits = format.bits,
          .codes = format.packed ? nullptr : read<int8_t>(weight.codes),
          .words = format.packed ? read<uint32_t>(weight.codes) : nullptr,
          .scales = read<float>(scales),
          .out = nullptr};
}

Int8Rows quantise_rows(const at::Tensor& x, double divisor) {
  TORCH_CHECK_VALUE(x.dim() == 2, "quantise_rows: x must be [n, k], got ", x.sizes());
  const at::NoGradGuard no_grad;
  const int64_t least = divisor > kInt8Divisor ? -128 : -127;
  const at::Tensor wide = x.detach().to(at::kFloat).contiguous();
  if (wide.is_cpu()) return quantised_by_loops(wide, divisor, least);
  const at::Tensor scales = scales_of(wide, divisor);
  return {codes_of(wide, scales, least, 127), scales.squeeze(1)};
}

at::Tensor dequantise(const Int8Rows& rows) {
  return dequantise(
      QuantisedWeight{{}, rows.values.size(1), rows.values, rows.scales.unsqueeze(1)});
}

int64_t WeightFormat::groups(int64_t columns) const {
  if (group == 0) return 1;
  TORCH_CHECK_VALUE(group > 0 && columns % group == 0, "groups of ", group, " do not divide ",
                    columns, " columns");
  return columns / group;
}

QuantisedWeight empty_weight(const WeightFormat& format, int64_t rows, int64_t columns,
                             const at::TensorOptions& scales) {
  const int64_t each = 32 / format.bits;
  const at::Tensor codes =
      format.packed ? at::empty({rows, (columns + each - 1) / each}, scales.dtype(at::kInt))
                    : at::empty({rows, columns}, scales.dtype(at::kChar));
  return {format, columns, codes, at::empty({rows, format.groups(columns)}, scales)};
}

QuantisedWeight quantise_weight(const at::Tensor& weight, const WeightFormat& format,
                                at::ScalarType scale_type) {
  TORCH_CHECK_VALUE(weight.dim() == 2, "quantise_weight: [n, k] needed, got ", weight.sizes());
  TORCH_CHECK_VALUE(format.bits == 8 || (format.bits == 4 && format.packed),
                    "quantise_weight: 8 bits, or 4 packed, got ", format.bits);
  const at::NoGradGuard no_grad;
  const int64_t rows = weight.size(0), columns = weight.size(1);
  if (format == WeightFormat{} && scale_type == at::kFloat) {
    const Int8Rows whole = quantise_rows(weight);
    return {format, columns, whole.values, whole.scales.unsqueeze(1)};
  }
  const at::Tensor groups =
      weight.detach().to(at::kFloat).reshape({rows, format.groups(columns), -1});
  const at::Tensor scales = scales_of(groups, static_cast<double>(format.largest())).to(scale_type);
  const at::Tensor codes =
      codes_of(groups, scales.to(at::kFloat), -format.largest(), format.largest())
          .view({rows, columns});
  return {format, columns, format.packed ? pack(codes, format.bits) : codes, scales.squeeze(-1)};
}

at::Tensor dequantise(const QuantisedWeight& weight, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  if (weight.codes.is_cpu()) return dequantised_by_loops(weight).to(dtype);
  const WeightFormat& format = weight.format;
  const at::Tensor codes =
      format.packed ? unpack(weight.codes, format.bits, weight.columns) : weight.codes;
  const int64_t rows = codes.size(0);
  return codes.to(at::kFloat)
      .view({rows, format.groups(weight.columns), -1})
      .mul_(weight.scales.to(at::kFloat).unsqueeze(-1))
      .view({rows, weight.columns})
      .to(dtype);
}

}  // namespace hone::kernels
