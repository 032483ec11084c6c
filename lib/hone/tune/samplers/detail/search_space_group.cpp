#include "hone/tune/samplers/detail/search_space_group.h"

#include <utility>

namespace hone::tune::detail {
namespace {

SearchSpace distributions(const Trial& trial) {
  SearchSpace all;
  for (const Param& param : trial.params) all.emplace(param.name, param.distribution);
  return all;
}

}  // namespace

void IntersectionSpace::add(const Trial& trial, bool fixed_ranges) {
  if (!any_) {
    any_ = true;
    newest_ = trial.number;
    space_ = distributions(trial);
    return;
  }
  const bool newer = trial.number > newest_;
  if (newer) newest_ = trial.number;
  for (auto it = space_.begin(); it != space_.end();) {
    const Param* param = trial.param(it->first);
    const bool keep = param && (!fixed_ranges || param->distribution == it->second);
    if (keep && newer) it->second = param->distribution;
    it = keep ? std::next(it) : space_.erase(it);
  }
}

SearchSpace IntersectionSpace::space() const {
  SearchSpace result;
  for (const auto& entry : space_) {
    if (!single(entry.second)) result.insert(entry);
  }
  return result;
}

void SpaceGroup::add(const Trial& trial) {
  SearchSpace rest = distributions(trial);
  std::vector<SearchSpace> next;
  const auto keep = [&](SearchSpace& block) {
    if (!block.empty()) next.push_back(std::move(block));
  };
  for (SearchSpace& block : blocks_) {
    SearchSpace common;
    for (auto it = block.begin(); it != block.end();) {
      const bool shared = rest.erase(it->first) > 0;
      if (shared) common.insert(std::move(*it));
      it = shared ? block.erase(it) : std::next(it);
    }
    keep(common);
    keep(block);
  }
  keep(rest);
  blocks_ = std::move(next);
}

std::vector<SearchSpace> SpaceGroup::spaces() const {
  std::vector<SearchSpace> result;
  for (const SearchSpace& block : blocks_) {
    SearchSpace kept;
    for (const auto& entry : block) {
      if (!single(entry.second)) kept.insert(entry);
    }
    if (!kept.empty()) result.push_back(std::move(kept));
  }
  return result;
}

}  // namespace hone::tune::detail
