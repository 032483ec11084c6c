/// Strict JSON for files that may be broken or hostile.
#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace hone {

/// Keeps the order of keys, so that a file read and written again differs only where changed.
/// Objects are vectors: look-up by key is linear. Walk large objects (a vocabulary) once instead.
using Json = nlohmann::ordered_json;

/// Bounds checked while parsing, before memory is spent.
struct JsonLimits {
  size_t max_bytes = size_t{256} << 20;
  size_t max_depth = 64;
  size_t max_values = 20'000'000;
};

/// Parses one JSON text. Whole numbers beyond 64 bits become doubles. Differs from Json::parse:
/// duplicate keys, numbers outside double, invalid UTF-8, and anything over `limits` are errors.
/// Throws: IoError(source, reason); the reason begins with "line L, column C: " for bad syntax and
///   with the JSON pointer of a duplicate key or a number out of range.
Json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits = {});

/// "line L, column C" of the byte before `position`, columns in characters, both from 1.
std::string place_in(std::string_view text, size_t position);

/// parse_json of a whole file. Throws: IoError.
Json read_json_file(const std::string& path, const JsonLimits& limits = {});

}  // namespace hone
