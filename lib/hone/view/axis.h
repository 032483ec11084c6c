/// Axes of drawings.
#pragma once
#include <cmath>
#include <vector>

namespace hone::view {

/// The range of finite values; empty until one is added.
struct Extent {
  double low = HUGE_VAL, high = -HUGE_VAL;
  void add(double value) {
    if (!std::isfinite(value)) return;
    low = std::fmin(low, value);
    high = std::fmax(high, value);
  }
  bool empty() const { return low > high; }
  /// Positive and so wide that a logarithm shows more.
  bool wants_log() const { return low > 0 && high / low > 30; }
};

/// Values to positions in a drawing.
struct Axis {
  double low = 0, high = 1;   ///< of the values, or of their logarithms to base 10
  double begin = 0, end = 1;  ///< in the drawing
  bool logarithmic = false;

  double place(double value) const {
    const double v = logarithmic ? std::log10(value) : value;
    return begin + (v - low) / (high - low) * (end - begin);
  }

  /// The same, kept within the axis; values that are not finite, or not positive on a logarithmic
  /// axis, are at its begin.
  double place_within(double value) const;

  /// Round values: about `about` of them, on a logarithmic axis 1, 2, 5 in every decade or powers
  /// of ten alone, or some of them, where those would be too many.
  std::vector<double> ticks(int about) const;
};

/// From `begin` to `end` with a margin on either side; range must not be empty.
Axis axis_over(const Extent& range, bool logarithmic, double begin, double end,
               double margin = 0.05);

}  // namespace hone::view
