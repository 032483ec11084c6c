/// Token ids that come from outside.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "hone/core/error.h"

namespace hone::infer::detail {

/// Throws: hone::Error beginning with `what` if there is no id, or one outside [0, vocabulary).
inline void check_ids(std::span<const int64_t> ids, int64_t vocabulary, const std::string& what) {
  if (ids.empty()) throw Error(what + " is empty; it needs at least one token, such as bos");
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocabulary) {
      throw Error(what + " holds the id " + std::to_string(id) + ", outside the model's " +
                  std::to_string(vocabulary) + " tokens");
    }
  }
}

}  // namespace hone::infer::detail
