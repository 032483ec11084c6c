/// Axes of plots.
#pragma once
#include <cmath>
#include <vector>

namespace hone::view {

/// Values to positions in a drawing.
struct Axis {
  double low = 0, high = 1;   ///< of the values, or of their logarithms to base 10
  double begin = 0, end = 1;  ///< in the drawing
  bool logarithmic = false;

  double place(double value) const {
    const double v = logarithmic ? std::log10(value) : value;
    return begin + (v - low) / (high - low) * (end - begin);
  }

  /// Round values: about `about` of them, on a logarithmic axis 1, 2, 5 in every decade or powers
  /// of ten alone, or some of them, where those would be too many.
  std::vector<double> ticks(int about) const;
};

}  // namespace hone::view
