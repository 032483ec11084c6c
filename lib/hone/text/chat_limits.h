/// How much a chat template may ask for.
#pragma once
#include <cstddef>

namespace hone::text {

/// Bounds against hostile templates. What runs over one is an Error that names it.
struct ChatLimits {
  size_t max_source = size_t{1} << 20;   ///< bytes of the template
  size_t max_output = size_t{64} << 20;  ///< bytes rendered, and bytes of any string on the way
  size_t max_steps = 50'000'000;         ///< nodes evaluated and list items made
  size_t max_depth = 200;                ///< nesting of the source, and of macro calls
};

}  // namespace hone::text
