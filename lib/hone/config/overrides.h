/// What --set does, and the order of sources: default < file < --set.
#pragma once
#include <string>
#include <vector>

#include "hone/config/reader.h"
#include "hone/core/json.h"

namespace hone::config {

/// Puts `assignment` ("train.lr=3e-4") into the document before it is read. Dots separate keys
/// ("\.",
/// "\=" and "\\" stand for the signs themselves), a number is a position in a list that exists (its
/// length appends).
/// The value is taken as JSON if it is JSON, else as a string: steps=10, targets=["q_proj"],
/// device=cuda, note='"10"'. Missing objects on the way are made; null unsets an optional key.
/// Throws: ConfigError naming the assignment and what is wrong with it.
void apply_override(Json& json, const std::string& assignment);

/// All of them in order, later ones winning. Throws: ConfigError with every bad one.
void apply_overrides(Json& json, const std::vector<std::string>& assignments);

/// The document of `path` ("" for an empty one) with the overrides applied.
/// Throws: IoError for a file that is missing or no JSON; ConfigError.
Json load_config_json(const std::string& path, const std::vector<std::string>& overrides);

/// Defaults, overlaid with the file, overlaid with the overrides. Throws: IoError, ConfigError.
template <detail::Visited T>
T load_config(const std::string& path, const std::vector<std::string>& overrides) {
  return read_config<T>(load_config_json(path, overrides));
}

}  // namespace hone::config
