#include "hone/io/quantised_tensors.h"

#include <torch/types.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/keys.h"

namespace hone::io {
namespace {

constexpr int64_t kNumbersAtOnce = int64_t{1} << 20;

/// [n, ceil(in / columns)] -> [n, in]: of each number of these rows its block's.
at::Tensor spread(const at::Tensor& scales, const BlockFormat& format, int64_t first_row,
                  int64_t rows, int64_t columns) {
  const at::Tensor block =
      at::arange(first_row, first_row + rows, at::kLong).div(format.rows, "floor");
  return scales.index_select(0, block).repeat_interleave(format.columns, 1).narrow(1, 0, columns);
}

/// The next power of two at or above, within what e8m0 and float32 hold as normal numbers.
at::Tensor next_power_of_two(const at::Tensor& x) {
  const auto [mantissa, exponent] = at::frexp(x);
  const at::Tensor power = exponent - mantissa.eq(0.5).to(at::kInt);
  return ((power.clamp(-126, 127) + 127) * (1 << 23)).to(at::kInt).view(at::kFloat);
}

/// Codes of four bits, the even one of two that are as near.
at::Tensor to_e2m1(const at::Tensor& x) {
  const at::Tensor size = x.abs();
  at::Tensor code = at::zeros_like(x, at::kByte);
  for (const double middle : {0.25, 1.25, 2.5, 5.0}) code += size.gt(middle);
  for (const double middle : {0.75, 1.75, 3.5}) code += size.ge(middle);
  return code + at::signbit(x).to(at::kByte) * 8;
}

/// The header entry of a tensor.
TensorInfo info_of(const std::string& name, const at::Tensor& tensor) {
  return {.name = name, .dtype = to_dtype(tensor.scalar_type()), .shape = tensor.sizes().vec()};
}

}  // namespace

void by_rows(int64_t rows, int64_t columns, int64_t multiple,
             const std::function<void(int64_t begin, int64_t end)>& work) {
  const int64_t block = multiple * std::max<int64_t>(1, columns);
  const int64_t step = multiple * std::max<int64_t>(1, kNumbersAtOnce / block);
  for (int64_t begin = 0; begin < rows; begin += step) work(begin, std::min(begin + step, rows));
}

at::Tensor decoded(const at::Tensor& codes, const at::Tensor& scales, const BlockFormat& format,
                   int64_t first_row) {
  const int64_t rows = codes.size(0), columns = codes.size(1) * format.packed();
  const at::Tensor bytes = codes.contiguous(), factors = scales.contiguous();
  at::Tensor out = at::empty({rows, columns}, at::kFloat);
  decode_rows(format, static_cast<const uint8_t*>(bytes.const_data_ptr()),
              static_cast<const float*>(factors.const_data_ptr()), first_row, rows, columns,
              out.mutable_data_ptr<float>());
  return out;
}

at::Tensor dequantise(const at::Tensor& codes, const at::Tensor& scales, const BlockFormat& format,
                      at::ScalarType dtype) {
  const at::Tensor factors = scales.to(at::kFloat);
  at::Tensor out = at::empty(weight_shape(codes.sizes().vec(), format), dtype);
  by_rows(out.size(0), out.size(1), 1, [&](int64_t begin, int64_t end) {
    out.slice(0, begin, end).copy_(decoded(codes.slice(0, begin, end), factors, format, begin));
  });
  return out;
}

at::Tensor block_scales(const at::Tensor& weight, const BlockFormat& format, at::ScalarType type) {
  const int64_t columns = weight.size(1);
  std::vector<at::Tensor> parts;
  by_rows(weight.size(0), columns, format.rows, [&](int64_t begin, int64_t end) {
    at::Tensor size = weight.detach().slice(0, begin, end).to(at::kCPU, at::kFloat).abs();
    if (!format.fp4) size = at::nan_to_num(size, 0, 0);
    const auto wanted = scale_shape(size.sizes().vec(), format);
    size = at::constant_pad_nd(
        size, {0, wanted[1] * format.columns - columns, 0, wanted[0] * format.rows - size.size(0)});
    parts.push_back(size.view({wanted[0], format.rows, wanted[1], format.columns}).amax({1, 3}));
  });
  if (parts.empty()) return at::empty(scale_shape(weight.sizes().vec(), format), type);
  at::Tensor scales = at::cat(parts) / format.largest();
  const at::Tensor bad = scales.isfinite().logical_not();
  scales.masked_fill_(scales.lt(FLT_MIN), 1);
  if (format.powers_of_two || type == at::kFloat8_e8m0fnu) {
    scales = next_power_of_two(scales).masked_fill(bad, NAN);
  }
  return scales.to(type);
}

at::Tensor encoded(const at::Tensor& rows, const at::Tensor& scales, const BlockFormat& format,
                   int64_t first_row, at::ScalarType type) {
  const at::Tensor x = rows.detach().to(at::kCPU, at::kFloat) /
                       spread(scales.to(at::kFloat), format, first_row, rows.size(0), rows.size(1));
  if (!format.fp4) return x.to(type);
  const at::Tensor codes = to_e2m1(x);
  const at::Tensor low = codes.slice(1, 0, at::nullopt, 2),
                   high = codes.slice(1, 1, at::nullopt, 2);
  return (low + high * 16).view(type);
}

NamedTensors as_numbers(const NamedTensors& tensors, const Json& config, at::ScalarType dtype,
                        const std::string& source) {
  std::vector<std::string> problems;
  const auto quantisation = read_quantisation(config, problems);
  if (!quantisation) return tensors;
  const std::map<std::string, at::Tensor> by_name(tensors.begin(), tensors.end());
  std::map<std::string, at::Tensor> numbers;
  std::set<std::string> scales;
  for (const auto& [name, tensor] : tensors) {
    const TensorInfo codes = info_of(name, tensor);
    const auto format = block_format(codes, *quantisation);
    if (!format) continue;
    const auto found = by_name.find(
        scale_name(name, [&](const std::string& other) { return by_name.contains(other); }));
    const bool there = found != by_name.end();
    const TensorInfo info = there ? info_of(found->first, found->second) : TensorInfo{};
    if (const auto problem = quantised_problem(codes, there ? &info : nullptr, *format)) {
      problems.push_back(*problem);
      continue;
    }
    scales.insert(info.name);
    numbers[name] = dequantise(tensor, found->second, *format, dtype);
  }
  if (!problems.empty()) throw IoError(source, joined(problems));
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    if (scales.contains(name)) continue;
    const auto found = numbers.find(name);
    result.emplace_back(name, found == numbers.end() ? tensor : found->second);
  }
  return result;
}

}  // namespace hone::io
