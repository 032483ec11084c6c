#include "hone/config/describe.h"

#include <fmt/format.h>

#include <algorithm>

namespace hone::config {
namespace {

/// The schema's type without the "null" that optional keys carry; "" for enums and free values.
std::string plain_type(const Json& schema) {
  const auto type = schema.find("type");
  if (type == schema.end()) return "";
  return type->is_array() ? type->front().get<std::string>() : type->get<std::string>();
}

std::string type_text(const Json& schema) {
  if (const auto names = schema.find("enum"); names != schema.end()) {
    std::string text = "one of";
    for (const Json& name : *names) {
      if (name.is_string()) text += (text.size() > 6 ? ", " : " ") + name.get<std::string>();
    }
    return text;
  }
  std::string type = plain_type(schema);
  if (type.empty()) return "any JSON";
  if (type == "array") return "list of " + type_text(schema.at("items"));
  if (type == "object" && schema.at("additionalProperties").is_object()) {
    return "map of " + type_text(schema.at("additionalProperties"));
  }
  const auto low = schema.find("minimum"), high = schema.find("maximum");
  const bool bounded_low = low != schema.end(), bounded_high = high != schema.end();
  if (bounded_low && bounded_high)
    return fmt::format("{} in [{}, {}]", type, low->dump(), high->dump());
  if (bounded_low) return fmt::format("{} from {}", type, low->dump());
  if (bounded_high) return fmt::format("{} up to {}", type, high->dump());
  return type;
}

void describe_object(const Json& schema, const std::string& prefix,
                     std::vector<KeyDescription>& keys);

/// Descends into what an object, a list or a map holds.
void describe_inner(const Json& schema, const std::string& key, std::vector<KeyDescription>& keys) {
  const std::string type = plain_type(schema);
  if (type == "array") {
    describe_inner(schema.at("items"), key + "[]", keys);
  } else if (type == "object" && schema.contains("properties")) {
    describe_object(schema, key + ".", keys);
  } else if (type == "object") {
    describe_inner(schema.at("additionalProperties"), key + ".<name>", keys);
  }
}

void describe_object(const Json& schema, const std::string& prefix,
                     std::vector<KeyDescription>& keys) {
  const Json required = schema.value("required", Json::array());
  for (const auto& [name, field] : schema.at("properties").items()) {
    if (name == "$schema") continue;
    const bool must = std::find(required.begin(), required.end(), name) != required.end();
    const auto standing = field.find("default");
    keys.push_back({prefix + name, type_text(field),
                    must                      ? "required"
                    : standing == field.end() ? ""
                                              : standing->dump(),
                    field.value("description", "")});
    describe_inner(field, prefix + name, keys);
  }
}

}  // namespace

std::vector<KeyDescription> describe_keys(const Json& schema) {
  std::vector<KeyDescription> keys;
  describe_object(schema, "", keys);
  return keys;
}

std::string describe_text(const Json& schema) {
  const std::vector<KeyDescription> keys = describe_keys(schema);
  size_t width = 0;
  for (const KeyDescription& key : keys) width = std::max(width, key.key.size());
  std::string text;
  for (const KeyDescription& key : keys) {
    std::string facts = key.type;
    if (key.default_value == "required") {
      facts += ", required";
    } else if (!key.default_value.empty()) {
      facts += ", default " + key.default_value;
    }
    text += fmt::format("  {:<{}}  {} ({})\n", key.key, width, key.help, facts);
  }
  return text;
}

}  // namespace hone::config
