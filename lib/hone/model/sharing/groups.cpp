#include "hone/model/sharing/groups.h"

#include <fmt/format.h>

#include <set>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/model/config.h"

namespace hone::model {

std::vector<std::string> group_problems(const LayerGroups& groups, int64_t layers) {
  std::vector<std::string> problems;
  std::set<int64_t> grouped;
  for (size_t g = 0; g < groups.size(); ++g) {
    const std::vector<int64_t>& group = groups[g];
    if (group.size() < 2) problems.push_back(fmt::format("{}: must name two layers or more", g));
    for (size_t i = 0; i < group.size(); ++i) {
      const auto problem = [&](const std::string& message) {
        problems.push_back(fmt::format("{}/{}: {}", g, i, message));
      };
      if (group[i] < 0 || group[i] >= layers) {
        problem(fmt::format("must be in [0, {}), the model's layers, got {}", layers, group[i]));
      } else if (i > 0 && group[i] <= group[i - 1]) {
        problem(fmt::format("must be above the one before it, {}, got {}", group[i - 1], group[i]));
      } else if (!grouped.insert(group[i]).second) {
        problem(fmt::format("layer {} is in another group already", group[i]));
      }
    }
  }
  return problems;
}

Json sharing_json(const LayerGroups& groups) {
  if (groups.empty()) return nullptr;
  return {{"what", "weights"}, {"layers", groups}};
}

LayerGroups sharing_from_json(const Json& json, const DecoderConfig& config,
                              const std::string& source) {
  if (json.is_null()) return {};
  std::vector<std::string> problems;
  Keys keys(json, "/hone_sharing", problems);
  keys.required_choice("what", {"weights"});
  const Json& lists = keys.required_list("layers");
  keys.done();
  LayerGroups groups;
  for (const Json& list : lists) {
    std::vector<int64_t>& group = groups.emplace_back();
    for (const Json& layer : list) {
      const auto number = integer_in(layer, 0, config.num_hidden_layers - 1);
      if (number) {
        group.push_back(*number);
      } else {
        keys.problem("layers", fmt::format("expected lists of layers below {}, got {}",
                                           config.num_hidden_layers, shown(list)));
        break;
      }
    }
  }
  if (problems.empty()) {
    for (const std::string& problem : group_problems(groups, config.num_hidden_layers)) {
      problems.push_back("/hone_sharing/layers/" + problem);
    }
  }
  if (!config.pruned.empty()) problems.push_back("/hone_sharing: a pruned model cannot share");
  if (!problems.empty()) throw IoError(source, joined(problems));
  return groups;
}

}  // namespace hone::model
