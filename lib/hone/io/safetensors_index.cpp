#include "hone/io/safetensors_index.h"

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/safetensors.h"

namespace hone::io {
namespace {

bool is_shard_name(std::string_view name) {
  constexpr std::string_view kSuffix = ".safetensors";
  return is_plain_file_name(name) && name.size() > kSuffix.size() && name.ends_with(kSuffix);
}

std::string quoted(const std::string& text) {
  return Json(text.substr(0, 200)).dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\\') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& source) {
  const Json json = parse_json(
      text, source, {.max_bytes = size_t{64} << 20, .max_depth = 16, .max_values = 2'000'000});
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    throw IoError(source, "has no object \"weight_map\"");
  }
  std::map<std::string, std::string> map;
  for (const auto& [name, file] : json["weight_map"].items()) {
    if (!file.is_string() || !is_shard_name(file.get_ref<const std::string&>())) {
      throw IoError(source, "tensor " + quoted(name) +
                                ": expected the name of a .safetensors file "
                                "beside the index, got " +
                                (file.is_string() ? quoted(file.get<std::string>())
                                                  : std::string(file.type_name())));
    }
    map.emplace_hint(map.end(), name, file.get<std::string>());
  }
  if (map.empty()) throw IoError(source, "\"weight_map\" names no tensor");
  return map;
}

}  // namespace hone::io
