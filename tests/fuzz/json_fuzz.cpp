// core's strict JSON reader, which every other parser of JSON files stands on: text that it takes
// must come back the same after printing.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hone/core/error.h"
#include "hone/core/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const hone::Json json = hone::parse_json(text, "fuzz");
    if (hone::parse_json(json.dump(), "printed") != json) std::abort();
  } catch (const hone::IoError&) {
  }
  return 0;
}
