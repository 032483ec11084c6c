#include "hone/tune/detail/unit_cube.h"

#include <algorithm>
#include <cmath>
#include <variant>

namespace hone::tune::detail {

Axis::Axis(const Distribution& distribution) {
  count_ = cardinality(distribution).value_or(0);
  if (std::holds_alternative<CategoricalDistribution>(distribution)) {
    categorical_ = true;
    return;
  }
  if (const auto* real = std::get_if<FloatDistribution>(&distribution)) {
    low_ = real->low, high_ = real->high, log_ = real->log, step_ = real->step.value_or(0);
  } else {
    const auto& integer = std::get<IntDistribution>(distribution);
    low_ = static_cast<double>(integer.low), high_ = static_cast<double>(integer.high);
    log_ = integer.log, step_ = static_cast<double>(integer.step);
  }
  from_ = low_ - 0.5 * step_, to_ = high_ + 0.5 * step_;
  if (log_) from_ = std::log(from_), to_ = std::log(to_);
}

double Axis::at(int64_t k) const {
  return categorical_ ? static_cast<double>(k) : to_axis(low_ + static_cast<double>(k) * step_);
}

double Axis::to_axis(double internal) const {
  if (categorical_) return internal;
  if (from_ == to_) return 0.5;
  return ((log_ ? std::log(internal) : internal) - from_) / (to_ - from_);
}

double Axis::from_axis(double x) const {
  if (categorical_) return std::clamp(std::floor(x + 0.5), 0.0, static_cast<double>(count_ - 1));
  double value = from_ + x * (to_ - from_);
  if (log_) value = std::exp(value);
  if (step_ > 0) value = low_ + std::floor((value - low_) / step_ + 0.5) * step_;
  return std::clamp(value, low_, high_);
}

double Axis::spread(double u) const {
  return categorical_ ? std::floor(u * static_cast<double>(count_)) : snap(u);
}

UnitCube::UnitCube(const SearchSpace& space) : space_(space) {
  for (const auto& [name, distribution] : space_) axes_.emplace_back(distribution);
}

bool UnitCube::holds(const Trial& trial) const {
  return std::all_of(space_.begin(), space_.end(), [&](const auto& entry) {
    const Param* param = trial.param(entry.first);
    return param != nullptr && contains(entry.second, param->value);
  });
}

std::vector<double> UnitCube::to_cube(const Suggestion& values) const {
  std::vector<double> x;
  for (const auto& [name, distribution] : space_) {
    x.push_back(axes_[x.size()].to_axis(values.at(name)));
  }
  return x;
}

Suggestion UnitCube::from_cube(const double* x) const {
  Suggestion values;
  size_t i = 0;
  for (const auto& [name, distribution] : space_) {
    values.emplace(name, axes_[i].from_axis(x[i]));
    ++i;
  }
  return values;
}

Suggestion values_of(const SearchSpace& space, const Trial& trial) {
  Suggestion values;
  for (const auto& [name, distribution] : space) values.emplace(name, trial.param(name)->value);
  return values;
}

}  // namespace hone::tune::detail
