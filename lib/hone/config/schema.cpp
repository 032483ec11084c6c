#include "hone/config/schema.h"

#include <cmath>

namespace hone::config::detail {
namespace {

/// Whole bounds without the ".0" that a reader of the schema would stumble over.
Json bound(double value) {
  constexpr double kExact = 9007199254740992.0;
  const bool whole = std::trunc(value) == value && std::abs(value) <= kExact;
  return whole ? Json(static_cast<int64_t>(value)) : Json(value);
}

}  // namespace

void add_range(Json& schema, const Range& range) {
  if (std::isfinite(range.min)) schema["minimum"] = bound(range.min);
  if (std::isfinite(range.max)) schema["maximum"] = bound(range.max);
}

void allow_null(Json& schema) {
  if (const auto type = schema.find("type"); type != schema.end() && type->is_string()) {
    *type = Json::array({*type, "null"});
  } else if (const auto names = schema.find("enum"); names != schema.end()) {
    names->push_back(nullptr);
  }
}

Json schema_document(Json object, const std::string& title, const std::string& description) {
  Json document = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                   {"title", title},
                   {"description", description}};
  document.update(object);
  Json properties = {
      {"$schema",
       {{"description", "Where this schema lies, for editors; ignored."}, {"type", "string"}}}};
  properties.update(document["properties"]);
  document["properties"] = std::move(properties);
  return document;
}

}  // namespace hone::config::detail
