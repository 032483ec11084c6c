/// Pieces of the report's SVG drawings.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/view/axis.h"

namespace hone::tune::detail {

/// A drawing's size and the margins that labels need.
struct Frame {
  double width = 640, height = 300;
  double left = 62, right = 14, top = 12, bottom = 40;
  double x_end() const { return width - right; }
  double y_end() const { return height - bottom; }
};

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

/// From `begin` to `end` with a margin on either side; range must not be empty.
view::Axis axis_over(const Extent& range, bool logarithmic, double begin, double end,
                     double margin = 0.05);
/// Where a value is drawn: kept within the axis; not finite or not positive ones at its low end.
double placed(const view::Axis& axis, double value);

/// Grid lines, tick labels and axis titles (escaped here).
std::string draw_axes(const Frame& frame, const view::Axis& x, const view::Axis& y,
                      std::string_view x_title, std::string_view y_title);
/// The same for positions that are given, e.g. of choices.
using Ticks = std::vector<std::pair<double, std::string>>;
Ticks ticks_of(const view::Axis& axis, int about);
std::string draw_x_ticks(const Frame& frame, const Ticks& ticks, std::string_view title);
std::string draw_y_ticks(const Frame& frame, const Ticks& ticks, std::string_view title);

/// A circle of class `kind` that tells `title` (escaped here) to the pointer.
std::string draw_dot(double x, double y, double radius, std::string_view kind,
                     std::string_view title, std::string_view style = "");
std::string draw_cross(double x, double y, std::string_view kind, std::string_view title);
/// A line through points, of class "line".
std::string draw_path(const std::vector<std::pair<double, double>>& points, std::string_view kind,
                      std::string_view title, std::string_view style = "");

/// "<span>" for a legend: a mark of the class or colour, and a text.
std::string legend_item(std::string_view style, std::string_view text);

/// A <figure>; `caption` and `note` are escaped here, the rest is markup.
std::string figure(std::string_view caption, std::string_view note, std::string_view legend,
                   const Frame& frame, std::string_view svg, std::string_view kind = "");

/// From grey (0, bad) over blue to green (1, good); reads on dark and on light.
std::string ramp_colour(double good);
/// A legend that explains it.
std::string ramp_legend(std::string_view bad, std::string_view good);

}  // namespace hone::tune::detail
