/// JSON as values of the Jinja interpreter.
#pragma once
#include "hone/core/json.h"
#include "hone/text/detail/jinja/value.h"

namespace hone::text::jinja {

/// Throws: Fault for text that is not UTF-8, integers over 63 bits and too much nesting.
Value to_value(const Json& json, int depth = 0);

}  // namespace hone::text::jinja
