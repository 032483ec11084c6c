/// Two recipes that must agree.
#pragma once
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/json.h"

namespace hone {

/// A problem for each place, by its JSON pointer, in which `now` is not `then`; what it says of the
/// place is `message`. None if they agree.
std::vector<Problem> differences(const Json& then, const Json& now, const std::string& message);

/// Throws: ConfigError with all differences.
void must_agree(const Json& then, const Json& now, const std::string& message);

}  // namespace hone
