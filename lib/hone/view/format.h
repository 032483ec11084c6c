/// Numbers and durations as people read them.
#pragma once
#include <string>

namespace hone::view {

/// Four significant digits: "1.234", "12,345", "1.2e-05".
std::string format_number(double value);

/// "3.2 s", "1 min 05 s", "2 h 07 min", "3 d 04 h"; a dash for what is not finite.
std::string format_duration(double seconds);

}  // namespace hone::view
