#include "hone/view/knob_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "hone/core/utf8.h"
#include "hone/view/format.h"
#include "hone/view/row.h"

namespace hone::view {
namespace {

bool is_mask(const Json& value) {
  const auto is_bit = [](const Json& unit) { return unit == 0 || unit == 1; };
  return value.is_object() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [&](const Json& units) {
           return units.is_array() && std::all_of(units.begin(), units.end(), is_bit);
         });
}

std::string mask_text(const std::string& knob, const Json& masks) {
  size_t on = 0, all = 0;
  for (const Json& units : masks) {
    on += static_cast<size_t>(std::count(units.begin(), units.end(), 1));
    all += units.size();
  }
  return fmt::format("{} of {} {}", on, all, spaced(knob));
}

std::string scalar_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return format_number(value.get<double>());
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_flat(const Json& value) {
  return value.is_structured() && std::all_of(value.begin(), value.end(),
                                              [](const Json& item) { return item.is_primitive(); });
}

std::string list_text(const Json& value) {
  if (value.empty()) return "none";
  std::string text;
  for (const auto& [name, item] : value.items()) {
    if (!text.empty()) text += ", ";
    text += (value.is_object() ? name + " " : "") + scalar_text(item);
  }
  return text;
}

}  // namespace

std::string knob_text(const std::string& knob, const Json& value, size_t most) {
  if (value.is_null()) return "";
  return shortened(is_mask(value)   ? mask_text(knob, value)
                   : is_flat(value) ? list_text(value)
                                    : scalar_text(value),
                   most, "…");
}

std::string changed_knob_text(const std::string& knob, const Json& before, const Json& after,
                              size_t most) {
  const std::string text = knob_text(knob, after, most);
  if (!is_mask(before) || !is_mask(after) || knob_text(knob, before, most) != text) return text;
  size_t switched_off = 0;
  for (const auto& [layer, units] : after.items()) {
    const Json was = before.value(layer, Json::array());
    for (size_t i = 0; i < std::min(units.size(), was.size()); ++i) {
      switched_off += was[i] == 1 && units[i] == 0;
    }
  }
  return switched_off == 0 ? text : fmt::format("{}, {} exchanged", text, switched_off);
}

bool is_bookkeeping(const std::string& knob) { return knob == "snapshot"; }

}  // namespace hone::view
