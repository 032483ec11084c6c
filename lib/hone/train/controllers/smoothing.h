/// Smoothed numbers: mean, slope and a band that outliers do not move. Values that are not finite
/// are not taken in. States restore bit-equal.
#pragma once
#include <cstddef>
#include <deque>
#include <optional>

#include "hone/core/json.h"

namespace hone::train {

/// Exponential moving average without the bias of its start (Kingma and Ba 2015, section 3):
///   sum = decay * sum + (1 - decay) * x,  weight likewise of ones,  value = sum / weight.
class Ema {
 public:
  /// `decay` in [0, 1); about 1 / (1 - decay) values count.
  explicit Ema(double decay) : decay_(decay) {}
  void add(double x);
  /// Nothing before the first value.
  std::optional<double> value() const;
  Json state() const { return {{"sum", sum_}, {"weight", weight_}}; }
  void restore(const Json& state);

 private:
  double decay_;
  double sum_ = 0, weight_ = 0;
};

/// Slope of the least-squares line through the last values, per value.
class Slope {
 public:
  explicit Slope(size_t window) : window_(window) {}
  void add(double x);
  /// Nothing before the second value.
  std::optional<double> value() const;
  Json state() const { return values_; }
  void restore(const Json& state) { values_ = state.get<std::deque<double>>(); }

 private:
  size_t window_;
  std::deque<double> values_;
};

/// Median and spread of the last values. The spread is the median absolute deviation times 1.4826,
/// which makes it the standard deviation of normal values.
class RobustBand {
 public:
  explicit RobustBand(size_t window) : window_(window) {}
  void add(double x);

  struct Band {
    double median, spread;
  };
  /// Nothing before half the window is full.
  std::optional<Band> band() const;
  Json state() const { return values_; }
  void restore(const Json& state) { values_ = state.get<std::deque<double>>(); }

 private:
  size_t window_;
  std::deque<double> values_;
};

}  // namespace hone::train
