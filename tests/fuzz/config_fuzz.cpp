// The config reader: a document, then --set assignments, each after a NUL (no argument holds one).
// What is accepted must come back from to_json; what is refused must be an Error that says why.
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "../config/sample.h"
#include "hone/config/overrides.h"
#include "hone/config/writer.h"

namespace {

using hone::config::sample::Sample;

void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

Sample load(const std::vector<std::string>& parts) {
  const hone::JsonLimits limits{.max_bytes = 1 << 16, .max_values = 1 << 12};
  hone::Json json = hone::parse_json(parts.front(), "fuzz", limits);
  hone::config::apply_overrides(json, {parts.begin() + 1, parts.end()});
  return hone::config::read_config<Sample>(json);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < size; ++i) {
    if (data[i] == 0) {
      parts.emplace_back();
    } else {
      parts.back() += static_cast<char>(data[i]);
    }
  }
  try {
    const Sample value = load(parts);
    const std::string printed = hone::config::to_json(value).dump(2);
    require(load({printed}) == value, "to_json gives another value");
    require(hone::config::to_json(load({printed})).dump(2) == printed, "to_json is not stable");
  } catch (const hone::Error& error) {
    require(*error.what() != 0, "an error without a reason");
  }
  return 0;
}
