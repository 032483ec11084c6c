#include "hone/train/controllers/smoothing.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "hone/train/detail/state.h"

namespace hone::train {
namespace {

double median(std::vector<double> values) {
  const size_t half = values.size() / 2;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(half);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

}  // namespace

void Ema::add(double x) {
  if (!std::isfinite(x)) return;
  sum_ = decay_ * sum_ + (1 - decay_) * x;
  weight_ = decay_ * weight_ + (1 - decay_);
}

std::optional<double> Ema::value() const {
  if (weight_ == 0) return std::nullopt;
  return sum_ / weight_;
}

void Ema::restore(const Json& state) {
  sum_ = state.at("sum");
  weight_ = state.at("weight");
}

void Slope::add(double x) {
  if (std::isfinite(x)) detail::push_bounded(values_, x, window_);
}

std::optional<double> Slope::value() const {
  const auto n = static_cast<double>(values_.size());
  if (n < 2) return std::nullopt;
  // Sum over i of (i - mean i) * x_i, over sum of (i - mean i)^2 = n (n^2 - 1) / 12.
  double covariance = 0, place = -(n - 1) / 2;
  for (const double x : values_) covariance += place++ * x;
  return covariance / (n * (n * n - 1) / 12);
}

void RobustBand::add(double x) {
  if (std::isfinite(x)) detail::push_bounded(values_, x, window_);
}

std::optional<RobustBand::Band> RobustBand::band() const {
  if (values_.empty() || 2 * values_.size() < window_) return std::nullopt;
  std::vector<double> values(values_.begin(), values_.end());
  const double middle = median(values);
  for (double& x : values) x = std::abs(x - middle);
  return Band{middle, 1.4826 * median(std::move(values))};
}

}  // namespace hone::train
