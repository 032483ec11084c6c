/// Line plots and heat maps as inline SVG, coloured by the page's style sheet (--s0 ... --s7).
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "hone/view/drawing.h"

namespace hone::view {

/// One line. Points are (x, y) by rising x; a y that is not finite breaks the line.
struct Series {
  std::string name;
  Points points;
  bool faint =
      false;  ///< drawn thin and pale, and without a legend: the raw line under a smooth one
};

/// At most two points of each of `stretches` equal stretches: the lowest and the highest, so that
/// spikes stay. A stretch without a finite y keeps its first point: a gap.
Points thinned(const Points& points, size_t stretches);

/// Exponential moving average over about a fiftieth of the points, unbiased at the start.
Series smoothed(const Series& raw, std::string name);

enum class Scale {
  kLinear,
  kByRange  ///< logarithmic where positive values span more than a factor of 30
};

/// Something that happened at x: a line down the plot. The legend names each `name` once.
struct Mark {
  double x = 0;
  size_t colour = 0;
  std::string name, text;
};

struct PlotOptions {
  Scale scale = Scale::kByRange;
  std::vector<Mark> marks;
  bool small = false;  ///< for a row of many: a quarter of the size, and its one line unnamed
};

/// A <figure> with title, legend and plot; "" if no series has a finite point.
std::string render_plot(const std::string& title, const std::vector<Series>& series,
                        const PlotOptions& options = {});

/// Values of one name: cell i reaches from cells[i].first to the next cell's x, or to the map's
/// end.
struct HeatRow {
  std::string name;
  Points cells;  ///< (x, value), by rising x
};

/// Shades from 0 to the largest value.
struct HeatMap {
  std::string title;
  std::string note;  ///< beside the title
  std::vector<HeatRow> rows;
  double end = 0;
};

/// A <figure>; "" if no row has a cell.
std::string render_heat_map(const HeatMap& map);

/// A line of its own for a table: from a ring at `before` to a dot at `after`, on a logarithmic
/// scale from `low` to `high`. All must be positive.
std::string render_change(double before, double after, double low, double high);

}  // namespace hone::view
