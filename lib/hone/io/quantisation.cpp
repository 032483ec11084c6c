#include "hone/io/quantisation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "hone/core/keys.h"

namespace hone::io {
namespace {

constexpr const char* kConfig = "quantization_config";
constexpr const char* kExpertType = "expert_dtype";
constexpr int64_t kMaxBlock = 1 << 20;

/// Those that say which weights are quantised are not needed: the files' types do.
const std::vector<std::string> kKnown = {
    "quant_method", "fmt",        "weight_block_size",      "activation_scheme",  "scale_fmt",
    kExpertType,    "dequantize", "modules_to_not_convert", "modules_to_convert", "ignored_layers"};

/// A problem if the text `key` is there and none of `supported`; else whether it is the first.
bool is_first(Keys& keys, const char* key, const std::vector<std::string>& supported) {
  const auto value = keys.text(key);
  if (!value) return false;
  if (std::find(supported.begin(), supported.end(), *value) == supported.end()) {
    keys.problem(key, fmt::format("\"{}\" is not supported; supported: {}", *value,
                                  fmt::join(supported, ", ")));
  }
  return *value == supported.front();
}

void read_block_size(Keys& keys, Quantisation& quantisation) {
  if (!keys.find("weight_block_size")) return;
  const std::vector<int64_t> size = keys.integers("weight_block_size", 1, kMaxBlock);
  if (size.size() == 2) {
    quantisation.block_rows = size[0];
    quantisation.block_columns = size[1];
  } else if (!size.empty()) {
    keys.problem("weight_block_size",
                 fmt::format("expected rows and columns, got {} numbers", size.size()));
  }
}

std::array<float, 256> e4m3_values() {
  std::array<float, 256> values{};
  for (int code = 0; code < 256; ++code) {
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    const float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                     : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    values[code] = code & 128 ? -size : size;
  }
  values[0x7F] = values[0xFF] = std::numeric_limits<float>::quiet_NaN();
  return values;
}

constexpr float kE2m1[16] = {0, .5f, 1, 1.5f, 2, 3, 4, 6, -0.f, -.5f, -1, -1.5f, -2, -3, -4, -6};

int64_t blocks(int64_t size, int64_t block) { return size / block + (size % block != 0); }

}  // namespace

std::optional<Quantisation> read_quantisation(const Json& config,
                                              std::vector<std::string>& problems) {
  if (!is_quantised(config)) return std::nullopt;
  Quantisation quantisation;
  const Json& own = config.at(kConfig);
  if (!own.is_object()) {
    problems.push_back(fmt::format("/{}: expected an object, got {}", kConfig, shown(own)));
    return quantisation;
  }
  Keys keys(own, std::string("/") + kConfig, problems), beside(config, "", problems);
  if (!keys.find("quant_method")) keys.problem("quant_method", "is missing");
  is_first(keys, "quant_method", {"fp8"});
  is_first(keys, "fmt", {"e4m3"});
  is_first(keys, "activation_scheme", {"dynamic"});
  quantisation.powers_of_two = is_first(keys, "scale_fmt", {"ue8m0", "float"});
  const bool inside = is_first(keys, kExpertType, {"fp4", "fp8"});
  quantisation.fp4_experts = is_first(beside, kExpertType, {"fp4", "fp8"}) || inside;
  read_block_size(keys, quantisation);
  for (const auto& [key, value] : own.items()) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) {
      keys.problem(key, "is not supported");
    }
  }
  return quantisation;
}

bool is_quantised(const Json& config) {
  const auto found = config.find(kConfig);
  if (found == config.end() || found->is_null()) return false;
  return !found->is_object() || found->value("quant_method", Json()) != "compressed-tensors";
}

Json without_quantisation(Json config) {
  if (!config.contains(kConfig)) return config;
  config.erase(kConfig);
  config.erase(kExpertType);
  return config;
}

std::optional<BlockFormat> block_format(const TensorInfo& info, const Quantisation& quantisation) {
  if (info.dtype == Dtype::F8_E4M3) {
    return BlockFormat{.rows = quantisation.block_rows,
                       .columns = quantisation.block_columns,
                       .powers_of_two = quantisation.powers_of_two};
  }
  const bool bytes = info.dtype == Dtype::I8 || info.dtype == Dtype::U8;
  if (!quantisation.fp4_experts || !bytes || !info.name.ends_with(".weight")) return std::nullopt;
  return BlockFormat{.fp4 = true, .rows = 1, .columns = 32, .powers_of_two = true};
}

std::array<std::string, 2> scale_names(const std::string& weight) {
  const size_t stem = weight.ends_with(".weight") ? weight.size() - 7 : weight.size();
  return {weight + "_scale_inv", weight.substr(0, stem) + ".scale"};
}

std::string scale_name(const std::string& weight,
                       const std::function<bool(const std::string& name)>& has) {
  for (const std::string& name : scale_names(weight)) {
    if (has(name)) return name;
  }
  return "";
}

std::vector<int64_t> weight_shape(const std::vector<int64_t>& codes, const BlockFormat& format) {
  std::vector<int64_t> shape = codes;
  if (shape.empty()) return shape;
  // A tensor without data may claim any size.
  shape.back() = std::min(shape.back(), INT64_MAX / format.packed()) * format.packed();
  return shape;
}

std::vector<int64_t> scale_shape(const std::vector<int64_t>& weight, const BlockFormat& format) {
  return {blocks(weight.at(0), format.rows), blocks(weight.at(1), format.columns)};
}

std::optional<std::string> quantised_problem(const TensorInfo& codes, const TensorInfo* scales,
                                             const BlockFormat& format) {
  if (codes.shape.size() != 2) {
    return fmt::format("tensor {} is {}, whose codes must be [out, in], got [{}]", codes.name,
                       dtype_name(codes.dtype), fmt::join(codes.shape, ", "));
  }
  if (!scales) {
    return fmt::format("tensor {} is {}, but its scales, {}, are missing", codes.name,
                       dtype_name(codes.dtype), fmt::join(scale_names(codes.name), " or "));
  }
  const std::vector<int64_t> shape = weight_shape(codes.shape, format);
  if (format.fp4 && shape[1] % format.columns != 0) {
    return fmt::format(
        "tensor {} holds 4-bit codes of {} columns, which groups of {} do not divide", codes.name,
        shape[1], format.columns);
  }
  const bool fits = scales->dtype == Dtype::F8_E8M0 ||
                    (!format.fp4 && (scales->dtype == Dtype::F32 || scales->dtype == Dtype::BF16));
  if (!fits) {
    return fmt::format("tensor {} is {}, but scales must be {}F8_E8M0", scales->name,
                       dtype_name(scales->dtype), format.fp4 ? "" : "F32, BF16 or ");
  }
  if (const auto wanted = scale_shape(shape, format); scales->shape != wanted) {
    return fmt::format("tensor {} must be [{}] for {} of [{}] in blocks of {}x{}, got [{}]",
                       scales->name, fmt::join(wanted, ", "), codes.name, fmt::join(shape, ", "),
                       format.rows, format.columns, fmt::join(scales->shape, ", "));
  }
  return std::nullopt;
}

void decode_rows(const BlockFormat& format, const uint8_t* codes, const float* scales,
                 int64_t first_row, int64_t rows, int64_t columns, float* out) {
  static const std::array<float, 256> kE4m3 = e4m3_values();
  const int64_t scale_columns = blocks(columns, format.columns);
  if (scale_columns == 0) return;
  for (int64_t row = 0; row < rows; ++row) {
    const float* const row_scales = scales + (first_row + row) / format.rows * scale_columns;
    for (int64_t block = 0; block < scale_columns; ++block) {
      const float scale = row_scales[block];
      const int64_t begin = block * format.columns, end = std::min(begin + format.columns, columns);
      const uint8_t* const at = codes + (row * columns + begin) / format.packed();
      float* const to = out + row * columns + begin;
      for (int64_t i = 0; i < end - begin; ++i) {
        to[i] = (format.fp4 ? kE2m1[at[i / 2] >> i % 2 * 4 & 15] : kE4m3[at[i]]) * scale;
      }
    }
  }
}

}  // namespace hone::io
