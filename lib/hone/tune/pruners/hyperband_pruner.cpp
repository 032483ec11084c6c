#include "hone/tune/pruners/hyperband_pruner.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <string_view>

#include "hone/core/checked.h"

namespace hone::tune {
namespace {

/// The checksum of zlib and PNG.
uint32_t crc32(std::string_view bytes) {
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

}  // namespace

void HyperbandOptions::validate(Validation& v) const {
  if (bootstrap_count > 0 && !max_resource) {
    v.problem("bootstrap_count", "needs a max_resource that is given");
  }
  if (max_resource && *max_resource < min_resource) {
    v.problem("max_resource",
              fmt::format("must be at least min_resource {}, got {}", min_resource, *max_resource));
  }
}

HyperbandPruner::HyperbandPruner(const HyperbandOptions& options)
    : options_(checked(options, "HyperbandPruner")) {}

void HyperbandPruner::make_brackets(const StudyView& study) {
  std::optional<int64_t> longest = options_.max_resource;
  for (const TrialPtr& trial : study.trials) {
    if (options_.max_resource) break;
    if (trial->state != TrialState::kComplete || trial->intermediate.empty()) continue;
    longest = std::max(longest.value_or(0), trial->intermediate.rbegin()->first + 1);
  }
  if (!longest) return;
  made_ = true;
  const auto factor = static_cast<double>(options_.reduction_factor);
  const double ratio = static_cast<double>(*longest) / static_cast<double>(options_.min_resource);
  const auto count = static_cast<int64_t>(std::floor(std::log(ratio) / std::log(factor))) + 1;
  for (int64_t b = 0; b < count; ++b) {
    const auto rungs = static_cast<double>(count - 1 - b);
    budgets_.push_back(static_cast<int64_t>(
        std::ceil(static_cast<double>(count) * std::pow(factor, rungs) / (rungs + 1))));
    brackets_.emplace_back(SuccessiveHalvingOptions{
        options_.min_resource, options_.reduction_factor, b, options_.bootstrap_count});
  }
}

size_t HyperbandPruner::bracket_of(const StudyView& study, int64_t number) const {
  if (brackets_.empty()) return 0;
  const auto total = std::accumulate(budgets_.begin(), budgets_.end(), int64_t{0});
  int64_t n = crc32(fmt::format("{}_{}", study.name, number)) % total;
  size_t bracket = 0;
  while ((n -= budgets_[bracket]) >= 0) ++bracket;
  return bracket;
}

StudyView HyperbandPruner::sampler_view(const StudyView& study, const Trial& trial) {
  if (brackets_.empty()) return study;
  StudyView view{study.name, study.directions, {}};
  const size_t bracket = bracket_of(study, trial.number);
  for (const TrialPtr& other : study.trials) {
    if (bracket_of(study, other->number) == bracket) view.trials.push_back(other);
  }
  return view;
}

bool HyperbandPruner::prune(const StudyView& study, Trial& trial) {
  if (!made_) make_brackets(study);
  if (brackets_.empty()) return false;
  return brackets_[bracket_of(study, trial.number)].prune(sampler_view(study, trial), trial);
}

}  // namespace hone::tune
