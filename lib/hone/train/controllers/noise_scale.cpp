#include "hone/train/controllers/noise_scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hone/core/error.h"

namespace hone::train {

void NoiseScale::add(double small_squared, double small, double big_squared, double big) {
  if (!(small > 0 && small < big)) {
    throw Error(
        fmt::format("NoiseScale: sizes must be 0 < small < big, got {} and {}; a step of one batch "
                    "has no noise "
                    "scale",
                    small, big));
  }
  if (!std::isfinite(small_squared) || !std::isfinite(big_squared)) return;
  squared_gradient_.add((big * big_squared - small * small_squared) / (big - small));
  trace_.add((small_squared - big_squared) / (1 / small - 1 / big));
}

std::optional<double> NoiseScale::value() const {
  const auto signal = squared_gradient_.value(), noise = trace_.value();
  if (!signal || *signal <= 0) return std::nullopt;
  return std::max(0.0, *noise / *signal);
}

Json NoiseScale::state() const {
  return {{"squared_gradient", squared_gradient_.state()}, {"trace", trace_.state()}};
}

void NoiseScale::restore(const Json& state) {
  squared_gradient_.restore(state.at("squared_gradient"));
  trace_.restore(state.at("trace"));
}

}  // namespace hone::train
