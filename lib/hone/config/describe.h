/// Tables of a configuration's keys for people, made from its schema.
#pragma once
#include <string>
#include <vector>

#include "hone/core/json.h"

namespace hone::config {

/// One key of a configuration.
struct KeyDescription {
  std::string key;            ///< "train.lr"; "data[].path" in a list, "weights.<name>" in a map
  std::string type;           ///< "number in [0, 10]", "one of a, b", "list of string", "object"
  std::string default_value;  ///< as JSON; "required"; "" where absent means something of its own
  std::string help;
};

/// Every key of a schema() document, nested ones after the key that holds them.
std::vector<KeyDescription> describe_keys(const Json& schema);

/// The keys as aligned plain text for a terminal, indented by two spaces.
std::string describe_text(const Json& schema);

}  // namespace hone::config
