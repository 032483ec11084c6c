// A config.json in the first line, behind it the safetensors header of a file with no data beyond:
// every tensor that holds codes is checked against its scales, and decoded where they fit.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/quantisation.h"
#include "hone/io/safetensors.h"

namespace {

using hone::io::TensorInfo;

/// Decodes all rows: no code and no scale beyond what the shapes hold is read.
void decode(const TensorInfo& codes, const TensorInfo& scales,
            const hone::io::BlockFormat& format) {
  const auto weight = hone::io::weight_shape(codes.shape, format);
  const std::vector<uint8_t> bytes(codes.bytes(), 0x55);
  const std::vector<float> factors(scales.shape[0] * scales.shape[1], 1);
  if (weight[0] * weight[1] != static_cast<int64_t>(bytes.size()) * format.packed()) std::abort();
  std::vector<float> out(weight[0] * weight[1], -1);
  hone::io::decode_rows(format, bytes.data(), factors.data(), 0, weight[0], weight[1], out.data());
  if (std::any_of(out.begin(), out.end(), [](float value) { return value < 0; })) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line = std::min(text.find('\n'), size);
  const std::string_view file = text.substr(std::min(line + 1, size));
  try {
    const hone::Json config = hone::parse_json(text.substr(0, line), "config.json");
    std::vector<std::string> problems;
    const auto quantisation = hone::io::read_quantisation(config, problems);
    if (!quantisation) return 0;
    const auto header = hone::io::parse_safetensors_header(file, file.size(), "fuzz");
    std::map<std::string, const TensorInfo*> by_name;
    for (const TensorInfo& info : header.tensors) by_name[info.name] = &info;
    for (const TensorInfo& codes : header.tensors) {
      const auto format = hone::io::block_format(codes, *quantisation);
      if (!format) continue;
      const auto found = by_name.find(hone::io::scale_name(
          codes.name, [&](const std::string& name) { return by_name.contains(name); }));
      const TensorInfo* scales = found == by_name.end() ? nullptr : found->second;
      if (!hone::io::quantised_problem(codes, scales, *format)) decode(codes, *scales, *format);
    }
  } catch (const hone::Error&) {
  }
  return 0;
}
