#include "hone/tune/samplers/grid_sampler.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "hone/core/error.h"
#include "hone/tune/samplers/detail/random_state.h"
#include "hone/tune/samplers/detail/transform.h"

namespace hone::tune {
namespace {

constexpr const char* kId = "grid_id";
constexpr const char* kSpace = "search_space";
constexpr int64_t kMostPoints = 10'000'000;

std::vector<Json> values_of(const Distribution& distribution, int64_t points) {
  std::vector<Json> values;
  const auto count = cardinality(distribution);
  if (count > kMostPoints) throw Error(fmt::format("the grid would have {} points", *count));
  for (int64_t i = 0; i < count.value_or(points); ++i) {
    double value;
    if (count) {
      value = value_at(distribution, i);
    } else {
      const auto& d = std::get<FloatDistribution>(distribution);
      const double share =
          points == 1 ? 0.5 : static_cast<double>(i) / static_cast<double>(points - 1);
      const detail::Bounds b = detail::bounds(distribution);
      const double x = b.low + share * (b.high - b.low);
      value = share == 0 ? d.low : share == 1 ? d.high : d.log ? std::exp(x) : x;
    }
    values.push_back(external_value(distribution, value));
  }
  return values;
}

}  // namespace

Grid grid_of(const SearchSpace& space, int64_t points) {
  if (points < 1) throw Error(fmt::format("a grid needs at least one point, got {}", points));
  Grid grid;
  for (const auto& [name, distribution] : space) grid[name] = values_of(distribution, points);
  return grid;
}

std::vector<std::map<std::string, Json>> grid_points(const Grid& grid) {
  int64_t size = 1;
  for (const auto& [name, values] : grid) {
    if (values.empty()) throw Error("grid: " + name + " has no values");
    size *= static_cast<int64_t>(values.size());
    if (size > kMostPoints) throw Error(fmt::format("grid: more than {} points", kMostPoints));
  }
  std::vector<std::map<std::string, Json>> points(size);
  int64_t run = size;  // of points in a row that share a value
  for (const auto& [name, values] : grid) {
    const auto n = static_cast<int64_t>(values.size());
    run /= n;
    for (int64_t i = 0; i < size; ++i) points[i][name] = values[i / run % n];
  }
  return points;
}

namespace {

class GridSampler final : public Sampler {
 public:
  GridSampler(Grid grid, uint64_t seed);

  void reseed(uint64_t seed) override { random_.reseed(seed); }
  /// Chooses the point. {}: its values are given one by one, so that they fit each distribution.
  Suggestion sample_relative(const StudyView& study, Trial& trial) override;
  double sample_independent(const StudyView& study, Trial& trial, const std::string& name,
                            const Distribution& distribution) override;
  /// Whether each point was tried by a finished trial.
  bool exhausted(const StudyView& study) const override { return unvisited(study).empty(); }

 private:
  /// Points that no trial has; if running trials have the last of them, theirs.
  std::vector<int64_t> unvisited(const StudyView& study) const;

  Json attribute_;  // the grid
  std::vector<std::map<std::string, Json>> points_;
  detail::RandomState random_;
};

GridSampler::GridSampler(Grid grid, uint64_t seed) : points_(grid_points(grid)), random_(seed) {
  attribute_ = Json::object();
  for (const auto& [name, values] : grid) attribute_[name] = values;
  random_.shuffle(points_);
}

std::vector<int64_t> GridSampler::unvisited(const StudyView& study) const {
  enum : char { kNew, kRunning, kDone };
  std::vector<char> visits(points_.size(), kNew);
  for (const TrialPtr& trial : study.trials) {
    const auto id = trial->system_attrs.find(kId), space = trial->system_attrs.find(kSpace);
    if (id == trial->system_attrs.end() || space == trial->system_attrs.end()) continue;
    if (!id->second.is_number_integer() || space->second != attribute_) continue;
    const int64_t point = id->second.get<int64_t>();
    if (point < 0 || point >= static_cast<int64_t>(points_.size())) continue;
    if (finished(trial->state)) visits[point] = kDone;
    if (trial->state == TrialState::kRunning && visits[point] == kNew) visits[point] = kRunning;
  }
  const auto all = [&](auto wanted) {
    std::vector<int64_t> points;
    for (size_t i = 0; i < visits.size(); ++i) {
      if (wanted(visits[i])) points.push_back(static_cast<int64_t>(i));
    }
    return points;
  };
  auto points = all([](char visit) { return visit == kNew; });
  return points.empty() ? all([](char visit) { return visit != kDone; }) : points;
}

Suggestion GridSampler::sample_relative(const StudyView& study, Trial& trial) {
  if (trial.system_attrs.contains(kId) || trial.system_attrs.contains(kFixedParams)) return {};
  int64_t point = trial.number;
  if (point >= static_cast<int64_t>(points_.size())) {
    const auto left = unvisited(study);
    point = left.empty() ? random_.integer(0, static_cast<int64_t>(points_.size()))
                         : left[random_.integer(0, static_cast<int64_t>(left.size()))];
  }
  trial.system_attrs[kSpace] = attribute_;
  trial.system_attrs[kId] = point;
  return {};
}

double GridSampler::sample_independent(const StudyView&, Trial& trial, const std::string& name,
                                       const Distribution& distribution) {
  const auto id = trial.system_attrs.find(kId);
  if (id == trial.system_attrs.end()) {
    throw Error("grid: an enqueued trial must fix all parameters; " + name + " is missing");
  }
  const int64_t point = id->second.is_number_integer() ? id->second.get<int64_t>() : -1;
  if (point < 0 || point >= static_cast<int64_t>(points_.size())) {
    throw Error("grid: there is no point " + id->second.dump());
  }
  const auto& values = points_[static_cast<size_t>(point)];
  const auto found = values.find(name);
  if (found == values.end()) throw Error("grid: there are no values for " + name);
  return internal_value(distribution, found->second);
}

}  // namespace

std::unique_ptr<Sampler> make_grid_sampler(Grid grid, uint64_t seed) {
  return std::make_unique<GridSampler>(std::move(grid), seed);
}

}  // namespace hone::tune
