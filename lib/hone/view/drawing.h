/// Pieces of SVG drawings, coloured by the page's style sheet (page.h). Texts and titles are
/// escaped here.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/view/axis.h"

namespace hone::view {

using Points = std::vector<std::pair<double, double>>;

/// A drawing's size, the margins that labels need, and about how many ticks its axes have.
struct Frame {
  double width = 640, height = 300;
  double left = 62, right = 14, top = 12, bottom = 40;
  int x_ticks = 6, y_ticks = 5;
  double x_end() const { return width - right; }
  double y_end() const { return height - bottom; }
};

/// Places along an axis, and their labels.
using Ticks = std::vector<std::pair<double, std::string>>;
/// Labels as by format_number(), with as many digits more as tell them apart.
Ticks ticks_of(const Axis& axis, int about);

/// The lower edge with tick labels, and the title under them.
std::string draw_x_ticks(const Frame& frame, const Ticks& ticks, std::string_view title = "");
/// Grid lines with tick labels, and the title in the upper corner.
std::string draw_y_ticks(const Frame& frame, const Ticks& ticks, std::string_view title = "");
std::string draw_axes(const Frame& frame, const Axis& x, const Axis& y,
                      std::string_view x_title = "", std::string_view y_title = "");

/// A shape's class and style, and what it tells the pointer.
struct Look {
  std::string_view kind = "", style = "", title = "";
};

std::string draw_dot(double x, double y, double radius, const Look& look);
std::string draw_cross(double x, double y, const Look& look);
std::string draw_line(double x1, double y1, double x2, double y2, const Look& look);
std::string draw_box(double x, double y, double width, double height, const Look& look);
/// A line of class "line" through points; one that is not finite breaks it. "" if there is none.
std::string draw_path(const Points& points, const Look& look);
/// Cut to `columns`: the pointer is told the whole. `anchor`: start, middle or end.
std::string draw_text(double x, double y, std::string_view text, std::string_view anchor = "start",
                      std::string_view kind = "", size_t columns = 40);

/// "<span>" for a legend: a mark of that style, a text and a value in bold.
std::string legend_item(std::string_view style, std::string_view text, std::string_view value = "");

/// A <figure>; `legend` and `svg` are markup.
std::string figure(std::string_view caption, std::string_view note, std::string_view legend,
                   const Frame& frame, std::string_view svg, std::string_view kind = "");

/// From grey (0, bad) over blue to green (1, good); reads on dark and on light.
std::string ramp_colour(double good);
/// A legend that explains it.
std::string ramp_legend(std::string_view bad, std::string_view good);

}  // namespace hone::view
