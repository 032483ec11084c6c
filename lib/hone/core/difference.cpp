#include "hone/core/difference.h"

#include <utility>

namespace hone {

std::vector<Problem> differences(const Json& then, const Json& now, const std::string& message) {
  std::vector<Problem> problems;
  for (const Json& change : Json::diff(then, now)) {
    problems.push_back({change.at("path"), message});
  }
  return problems;
}

void must_agree(const Json& then, const Json& now, const std::string& message) {
  std::vector<Problem> problems = differences(then, now, message);
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

}  // namespace hone
