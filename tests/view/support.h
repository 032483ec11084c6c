/// What tests of pages share.
#pragma once
#include <cstddef>
#include <string>

#include "hone/core/json.h"

namespace hone::test {

/// How often `part` occurs in a page.
inline size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// A line of decisions.jsonl.
inline Json decision(int step, const std::string& controller, const Json& before,
                     const Json& after) {
  return {{"step", step},
          {"controller", controller},
          {"rule", "loss_mean fell less than 0.001 for 50 steps"},
          {"signals", {{"loss_mean", 3.21}}},
          {"knob", "lr_scale"},
          {"old", before},
          {"new", after},
          {"applied", true}};
}

}  // namespace hone::test
