#include "hone/config/writer.h"

#include <set>
#include <utility>

namespace hone::config::detail {

void drop_ineffective(
    Json& json, const std::function<std::vector<Problem>(const Validation::IsSet&)>& validate) {
  std::set<std::pair<std::string, std::string>> always;
  for (Problem& problem : validate([](const std::string&) { return false; })) {
    always.emplace(std::move(problem.path), std::move(problem.message));
  }
  const auto is_given = [&json](const std::string& path) {
    return json.contains(Json::json_pointer(path));
  };
  for (bool dropped = true; dropped;) {  // each round removes a key, so this ends
    dropped = false;
    for (const Problem& problem : validate(is_given)) {
      if (always.count({problem.path, problem.message}) || !is_given(problem.path)) continue;
      const Json::json_pointer pointer(problem.path);
      Json& parent = json[pointer.parent_pointer()];
      if (!parent.is_object()) continue;
      parent.erase(pointer.back());
      dropped = true;
    }
  }
}

}  // namespace hone::config::detail
