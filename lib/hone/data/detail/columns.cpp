#include "hone/data/detail/columns.h"

#include <algorithm>

#include "hone/core/error.h"
#include "hone/core/names.h"
#include "hone/core/utf8.h"

namespace hone::data::detail {
namespace {

std::vector<std::string> keys_of(const Json& row) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : row.items()) keys.push_back(key);
  return keys;
}

}  // namespace

const std::vector<std::string>& column_names() {
  static const std::vector<std::string> names{
      "text",          "messages", "prompt",    "completion", "instruction",
      "input",         "output",   "history",   "system",     "tools",
      "conversations", "segments", "input_ids", "labels",     "attention_mask"};
  return names;
}

bool is_optional_column(const std::string& name) {
  return name == "input" || name == "history" || name == "system" || name == "tools" ||
         name == "labels" || name == "attention_mask";
}

std::string shown_keys(const Json& row) {
  constexpr size_t kMost = 400;
  std::string shown;
  for (const auto& [key, value] : row.items()) {
    if (shown.size() > kMost) return shown + ", ...";
    shown += (shown.empty() ? "\"" : ", \"") + shortened(key, 40) + "\"";
  }
  return shown.empty() ? "none" : shown;
}

ColumnMap::ColumnMap(std::map<std::string, std::string> names) : names_(std::move(names)) {
  for (const auto& [ours, theirs] : names_) seen_[ours] = false;
}

Json ColumnMap::rename(Json row) const {
  Json renamed = Json::object();
  std::vector<std::string> found;
  for (const auto& [ours, theirs] : names_) {
    const auto value = row.find(theirs);
    if (value != row.end()) {
      renamed[ours] = *value;
      found.push_back(ours);
    } else if (!is_optional_column(ours)) {
      throw Error("has no column \"" + theirs + "\", which columns." + ours +
                  " names; its columns are " + shown_keys(row) +
                  did_you_mean(theirs, keys_of(row)));
    }
  }
  if (!all_seen_) {
    const std::lock_guard lock(mutex_);
    for (const std::string& ours : found) seen_[ours] = true;
    last_keys_ = shown_keys(row);
    all_seen_ = std::all_of(seen_.begin(), seen_.end(), [](const auto& one) { return one.second; });
  }
  for (auto& [key, value] : row.items()) {
    const bool mapped = std::any_of(names_.begin(), names_.end(),
                                    [&](const auto& name) { return name.second == key; });
    if (!mapped && !names_.contains(key)) renamed[key] = std::move(value);
  }
  return renamed;
}

void ColumnMap::check_used() const {
  const std::lock_guard lock(mutex_);
  if (last_keys_.empty()) return;  // no row could be read
  for (const auto& [ours, seen] : seen_) {
    if (seen) continue;
    throw Error("columns." + ours + " names \"" + names_.at(ours) +
                "\", which no row has; the columns are " + last_keys_);
  }
}

}  // namespace hone::data::detail
