#include "hone/text/detail/jinja/json.h"

#include <cstdint>
#include <utility>

#include "hone/core/utf8.h"

namespace hone::text::jinja {

Value to_value(const Json& json, int depth) {
  // Checked on the way down: this recursion must be bounded too.
  if (depth > kMaxValueDepth) throw Fault("the conversation is nested too deep");
  const auto text = [](const std::string& part) {
    if (!is_utf8(part)) throw Fault("a text of the conversation is not UTF-8");
    return Value::string(part);
  };
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > uint64_t{INT64_MAX}) {
        throw Fault("the integer " + json.dump() + " does not fit into 63 bits");
      }
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_float:
      return Value::real(json.get<double>());
    case Json::value_t::string:
      return text(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json& item : json) items.push_back(to_value(item, depth + 1));
      return Value::list(std::move(items));
    }
    case Json::value_t::object: {
      Pairs pairs;
      for (const auto& [key, item] : json.items()) {
        pairs.emplace_back(text(key), to_value(item, depth + 1));
      }
      return Value::dict(std::move(pairs));
    }
    default:
      return Value::none();
  }
}

}  // namespace hone::text::jinja
