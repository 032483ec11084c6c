// A safetensors header of a file that holds nothing beyond the input.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hone/core/error.h"
#include "hone/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  try {
    const auto header = hone::io::parse_safetensors_header(file, size, "fuzz");
    uint64_t at = 0;
    for (const auto& info : header.tensors) {
      if (info.begin != at || info.end < info.begin) std::abort();
      at = info.end;
    }
    if (header.data_begin + at != size) std::abort();
  } catch (const hone::IoError&) {
  }
  return 0;
}
