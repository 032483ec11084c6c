#include "hone/view/axis.h"

#include <algorithm>

namespace hone::view {
namespace {

/// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
double nice_step(double step) {
  const double power = std::pow(10, std::floor(std::log10(step)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= step * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

std::vector<double> linear_ticks(double low, double high, int about) {
  const double step = nice_step((high - low) / about);
  const double first = std::ceil(low / step - 1e-9);
  std::vector<double> ticks;
  for (int i = 0; i <= 2 * about; ++i) {
    const double tick = (first + i) * step;
    if (!(tick <= high + step * 1e-9)) break;  // also where the range has no finite step
    if (ticks.empty() || tick > ticks.back()) ticks.push_back(first + i == 0 ? 0 : tick);
  }
  return ticks;
}

std::vector<double> log_ticks(double low, double high, int about) {
  const bool few = high - low < 3;
  const double stride = std::max(1.0, std::ceil((high - low) / (2 * about)));
  std::vector<double> ticks;
  for (double power = std::ceil(std::floor(low) / stride) * stride; power <= high;
       power += stride) {
    for (double factor : few ? std::vector<double>{1, 2, 5} : std::vector<double>{1}) {
      const double value = factor * std::pow(10, power);
      if (std::log10(value) >= low - 1e-9 && std::log10(value) <= high + 1e-9) {
        ticks.push_back(value);
      }
    }
  }
  return ticks;
}

}  // namespace

double Axis::place_within(double value) const {
  if (std::isnan(value) || (logarithmic && value <= 0)) return begin;
  const double at = place(value);
  return std::isnan(at) ? begin : std::clamp(at, std::min(begin, end), std::max(begin, end));
}

std::vector<double> Axis::ticks(int about) const {
  return logarithmic ? log_ticks(low, high, about) : linear_ticks(low, high, about);
}

Axis axis_over(const Extent& range, bool logarithmic, double begin, double end, double margin) {
  Axis axis{range.low, range.high, begin, end, logarithmic};
  if (logarithmic) {
    axis.low = std::log10(range.low);
    axis.high = std::log10(range.high);
  }
  double around = margin * (axis.high - axis.low);
  // One value, or values that differ by rounding only, get some room.
  const double size = std::max(std::abs(axis.low), std::abs(axis.high));
  if (!(axis.high - axis.low > 1e-9 * size)) around = size == 0 ? 1 : 0.1 * size;
  axis.low -= around;
  axis.high += around;
  return axis;
}

}  // namespace hone::view
