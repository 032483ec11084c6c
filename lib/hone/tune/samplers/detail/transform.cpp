#include "hone/tune/samplers/detail/transform.h"

#include <algorithm>
#include <cmath>

namespace hone::tune::detail {
namespace {

double below(double high) { return std::nextafter(high, high - 1); }

double real_of(const FloatDistribution& d, double x) {
  if (d.step)
    return std::clamp(std::nearbyint((x - d.low) / *d.step) * *d.step + d.low, d.low, d.high);
  if (d.low == d.high) return d.low;
  return d.log ? std::clamp(std::exp(x), d.low, below(d.high)) : std::min(x, below(d.high));
}

double integer_of(const IntDistribution& d, double x) {
  const double low = static_cast<double>(d.low), high = static_cast<double>(d.high);
  if (d.log) return std::clamp(std::nearbyint(std::exp(x)), low, high);
  const double step = static_cast<double>(d.step);
  return std::clamp(std::floor((x - low) / step + 0.5) * step + low, low, high);
}

}  // namespace

double step_of(const Distribution& distribution) {
  if (const auto* d = std::get_if<FloatDistribution>(&distribution)) return d->step.value_or(0);
  if (const auto* d = std::get_if<IntDistribution>(&distribution)) {
    return static_cast<double>(d->step);
  }
  return 0;
}

bool is_log(const Distribution& distribution) {
  if (const auto* d = std::get_if<FloatDistribution>(&distribution)) return d->log;
  if (const auto* d = std::get_if<IntDistribution>(&distribution)) return d->log;
  return false;
}

size_t num_choices(const Distribution& distribution) {
  const auto* d = std::get_if<CategoricalDistribution>(&distribution);
  return d ? d->choices.size() : 0;
}

Bounds bounds(const Distribution& distribution) {
  if (const size_t n = num_choices(distribution)) return {0, static_cast<double>(n)};
  const double half = 0.5 * step_of(distribution);
  const auto of = [&](const auto& d) {
    return Bounds{static_cast<double>(d.low) - half, static_cast<double>(d.high) + half};
  };
  const auto* real = std::get_if<FloatDistribution>(&distribution);
  const Bounds b = real ? of(*real) : of(std::get<IntDistribution>(distribution));
  return is_log(distribution) ? Bounds{std::log(b.low), std::log(b.high)} : b;
}

double transform(const Distribution& distribution, double internal) {
  if (num_choices(distribution)) return internal + 0.5;
  return is_log(distribution) ? std::log(internal) : internal;
}

double untransform(const Distribution& distribution, double x) {
  if (const auto* d = std::get_if<FloatDistribution>(&distribution)) return real_of(*d, x);
  if (const auto* d = std::get_if<IntDistribution>(&distribution)) return integer_of(*d, x);
  const double last = static_cast<double>(num_choices(distribution)) - 1;
  return std::clamp(std::floor(x), 0.0, last);
}

double to_unit(const Distribution& distribution, double internal) {
  const Bounds b = bounds(distribution);
  return b.low == b.high ? 0.5 : (transform(distribution, internal) - b.low) / (b.high - b.low);
}

double from_unit(const Distribution& distribution, double unit) {
  const Bounds b = bounds(distribution);
  return untransform(distribution, b.low + unit * (b.high - b.low));
}

}  // namespace hone::tune::detail
