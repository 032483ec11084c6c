// A model.safetensors.index.json.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hone/core/error.h"
#include "hone/io/safetensors_index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& [name, file] : hone::io::parse_safetensors_index(text, "fuzz")) {
      if (file.find('/') != std::string::npos || file.find('\0') != std::string::npos) std::abort();
    }
  } catch (const hone::IoError&) {
  }
  return 0;
}
