#include "hone/eval/metrics/references.h"

#include "hone/core/error.h"

namespace hone::eval::detail {

void check_segments(const std::string& metric, const Hypotheses& hypotheses,
                    const References& references) {
  if (hypotheses.empty()) throw Error(metric + ": there is no hypothesis to score");
  if (hypotheses.size() != references.size()) {
    throw Error(metric + ": expected a list of references for each of " +
                std::to_string(hypotheses.size()) + " hypotheses, got " +
                std::to_string(references.size()));
  }
  for (size_t i = 0; i < references.size(); ++i) {
    if (references[i].empty()) {
      throw Error(metric + ": segment " + std::to_string(i) + " (from 0) has no reference");
    }
  }
}

std::string reference_count(const References& references) {
  for (const auto& list : references) {
    if (list.size() != references.front().size()) return "var";
  }
  return std::to_string(references.front().size());
}

}  // namespace hone::eval::detail
