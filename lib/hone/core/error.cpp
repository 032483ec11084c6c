#include "hone/core/error.h"

#include <algorithm>

namespace hone {
namespace {

/// A JSON pointer as people read it best: a step that holds "/" or "~" stands in brackets,
/// /space["/train/lr"]/low for /space/~1train~1lr/low.
std::string shown(const std::string& pointer) {
  if (!pointer.starts_with('/') || pointer.find('~') == std::string::npos) return pointer;
  std::string text;
  for (size_t begin = 0; begin < pointer.size();) {
    const size_t end = std::min(pointer.find('/', begin + 1), pointer.size());
    std::string step = pointer.substr(begin + 1, end - begin - 1);
    begin = end;
    if (step.find('~') == std::string::npos) {
      text += "/" + step;
      continue;
    }
    for (const auto& [escape, sign] : {std::pair{"~1", "/"}, {"~0", "~"}}) {
      for (size_t at = 0; (at = step.find(escape, at)) != std::string::npos; ++at) {
        step.replace(at, 2, sign);
      }
    }
    text += "[\"" + step + "\"]";
  }
  return text;
}

std::string join(const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) {
    if (!text.empty()) text += '\n';
    text += (problem.path.empty() ? "/" : shown(problem.path)) + ": " + problem.message;
  }
  return text;
}

}  // namespace

ConfigError::ConfigError(std::vector<Problem> problems)
    : Error(join(problems)), problems_(std::move(problems)) {}

}  // namespace hone
