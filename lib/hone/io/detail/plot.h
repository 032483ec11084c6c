/// Line plots as inline SVG, coloured by the page's style sheet (--s0 ... --s7).
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace hone::io::detail {

/// One line. Points are (x, y) by rising x; a y that is not finite breaks the line.
struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
  bool faint =
      false;  ///< drawn thin and pale, and without a legend: the raw line under a smooth one
};

/// Exponential moving average over about a fiftieth of the points, unbiased at the start.
Series smoothed(const Series& raw, std::string name);

enum class Scale {
  kLinear,
  kByRange  ///< logarithmic where positive values span more than a factor of 30
};

/// A <figure> with title, legend and plot; "" if no series has a finite point.
std::string render_plot(const std::string& title, const std::vector<Series>& series,
                        Scale scale = Scale::kByRange);

/// A line of its own for a table: from a ring at `before` to a dot at `after`, on a logarithmic
/// scale from `low` to `high`. All must be positive.
std::string render_change(double before, double after, double low, double high);

}  // namespace hone::io::detail
