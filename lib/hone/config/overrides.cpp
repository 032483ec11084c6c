#include "hone/config/overrides.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "hone/core/error.h"
#include "hone/core/utf8.h"

namespace hone::config {
namespace {

struct Assignment {
  std::vector<std::string> keys{""};
  std::optional<std::string> value;  ///< unset without '='
};

Assignment split(const std::string& text) {
  Assignment assignment;
  auto& keys = assignment.keys;
  for (size_t i = 0; i < text.size() && !assignment.value; ++i) {
    const bool escaped = text[i] == '\\' && i + 1 < text.size() &&
                         std::string_view(".=\\").find(text[i + 1]) != std::string_view::npos;
    if (escaped) {
      keys.back() += text[++i];
    } else if (text[i] == '.') {
      keys.emplace_back();
    } else if (text[i] == '=') {
      assignment.value = text.substr(i + 1);
    } else {
      keys.back() += text[i];
    }
  }
  return assignment;
}

Json parse_value(const std::string& text) {
  try {
    return parse_json(text, "--set");
  } catch (const IoError&) {
    return Json(text);
  }
}

[[noreturn]] void refuse(const std::string& assignment, std::string reason) {
  throw ConfigError({{"--set " + assignment, std::move(reason)}});
}

/// The element `key` of a list; its length appends one.
Json& element(Json& list, const std::string& key, const std::string& assignment) {
  size_t index = 0;
  const char* end = key.data() + key.size();
  const auto [rest, error] = std::from_chars(key.data(), end, index);
  if (error != std::errc() || rest != end || index > list.size()) {
    refuse(assignment, "\"" + key + "\" is no position in a list of " +
                           std::to_string(list.size()) + "; its length appends one");
  }
  if (index == list.size()) list.push_back(nullptr);
  return list[index];
}

}  // namespace

void apply_override(Json& json, const std::string& assignment) {
  const auto [keys, value] = split(assignment);
  if (!value) refuse(assignment, "expected key=value, as in train.lr=3e-4");
  if (!is_utf8(assignment)) refuse(assignment, "is not UTF-8");
  Json result = json;  // a refused override leaves the document as it was
  Json* at = &result;
  std::string walked;
  for (const std::string& key : keys) {
    if (key.empty()) refuse(assignment, "has an empty key before '='");
    if (at->is_null()) *at = Json::object();
    if (at->is_array()) {
      at = &element(*at, key, assignment);
    } else if (at->is_object()) {
      at = &(*at)[key];
    } else {
      refuse(assignment, walked + " is neither an object nor a list");
    }
    walked += (walked.empty() ? "" : ".") + key;
  }
  *at = parse_value(*value);
  json = std::move(result);
}

void apply_overrides(Json& json, const std::vector<std::string>& assignments) {
  std::vector<Problem> problems;
  for (const std::string& assignment : assignments) {
    try {
      apply_override(json, assignment);
    } catch (const ConfigError& error) {
      problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    }
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

Json load_config_json(const std::string& path, const std::vector<std::string>& overrides) {
  Json json = path.empty() ? Json::object() : read_json_file(path);
  apply_overrides(json, overrides);
  return json;
}

}  // namespace hone::config
