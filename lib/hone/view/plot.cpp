#include "hone/view/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "hone/view/format.h"
#include "hone/view/page.h"

namespace hone::view {
namespace {

// Width, height, the margins left, right, top and bottom, and the ticks.
constexpr Frame kLarge{640, 300, 58, 14, 10, 30, 6, 5}, kSmall{320, 150, 58, 12, 8, 26, 4, 4};
constexpr size_t kColours = 8;
/// Lines of more points are thinned: more do not show.
constexpr size_t kMaxPoints = 1200;
constexpr int kMaxMarkLines = 8;  // told of one mark
// Of heat maps.
constexpr double kLeastRow = 4, kMostRow = 26, kTextHeight = 13;

Axis x_axis(Extent range, const Frame& frame) {
  if (range.low == range.high) range = {range.low - 1, range.high + 1};
  return axis_over(range, false, frame.left, frame.x_end(), 0);
}

/// From 0 where that leaves the values half of the height.
Axis y_axis(Extent range, Scale scale, const Frame& frame) {
  const bool logarithmic = scale == Scale::kByRange && range.wants_log();
  if (!logarithmic && range.low > 0 && range.low < 0.5 * range.high) range.low = 0;
  Axis axis = axis_over(range, logarithmic, frame.y_end(), frame.top);
  if (range.low == 0) axis.low = 0;
  return axis;
}

/// As a style: "fill:var(--s3)".
std::string in_colour(const char* property, size_t colour) {
  return fmt::format("{}:var(--s{})", property, colour);
}

std::string render_line(const Series& line, size_t colour, const Axis& x, const Axis& y,
                        size_t max_points) {
  Points placed;
  const std::pair<double, double>* last = nullptr;
  const Points points = thinned(line.points, max_points / 2);
  for (const auto& point : points) {
    placed.emplace_back(x.place(point.first), y.place(point.second));
    if (std::isfinite(placed.back().second)) last = &point;
  }
  const std::string svg =
      draw_path(placed, {.kind = line.faint ? "faint" : "", .style = in_colour("stroke", colour)});
  if (line.faint || !last) return svg;
  return svg + draw_dot(x.place(last->first), y.place(last->second), 4,
                        {.style = in_colour("fill", colour),
                         .title = line.name + ": " + format_number(last->second)});
}

/// One line for all marks that fall on a pixel.
std::string render_marks(const std::vector<Mark>& marks, const Axis& x, const Axis& y) {
  struct Drawn {
    size_t colour;
    std::string text;
    int count;
  };
  std::map<long, Drawn> by_pixel;
  for (const Mark& mark : marks) {
    const double place = std::clamp(x.place(mark.x), x.begin, x.end);
    auto [found, fresh] =
        by_pixel.try_emplace(std::lround(place), Drawn{mark.colour, mark.text, 0});
    if (!fresh && found->second.count < kMaxMarkLines) found->second.text += "\n" + mark.text;
    ++found->second.count;
  }
  std::string svg;
  for (const auto& [place, drawn] : by_pixel) {
    const int hidden = drawn.count - kMaxMarkLines;
    svg += fmt::format(
        "<g class=\"mark\" style=\"--c:var(--s{0})\"><path d=\"M{1} {2}V{3}\"/>"
        "<path class=\"head\" d=\"M{1} {4}l-5 -8h10z\"/><title>{5}{6}</title></g>",
        drawn.colour % kColours, place, y.end, y.begin, y.end + 4, escape_html(drawn.text),
        hidden > 0 ? fmt::format("\nand {} more", hidden) : "");
  }
  return svg;
}

std::string render_mark_legend(const std::vector<Mark>& marks) {
  std::vector<std::pair<std::string, size_t>> names;
  for (const Mark& mark : marks) {
    const std::pair name(mark.name, mark.colour % kColours);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  std::string html;
  for (const auto& [name, colour] : names) {
    html += fmt::format("<span><i class=\"mark\" style=\"{}\"></i>{}</span>",
                        in_colour("background", colour), escape_html(name));
  }
  return html;
}

std::string render_legend(const std::vector<Series>& series, const std::vector<size_t>& colours,
                          const PlotOptions& options) {
  std::string html;
  for (size_t i = 0; i < series.size(); ++i) {
    if (series[i].faint) continue;
    const double last = series[i].points.empty() ? NAN : series[i].points.back().second;
    const std::string value = std::isfinite(last) ? format_number(last) : "";
    html += options.small && series.size() == 1
                ? fmt::format("<span><b>{}</b></span>", value)
                : legend_item(in_colour("background", colours[i]), series[i].name, value);
  }
  if (options.small && series.size() > kColours) {  // colours repeat: the pointer tells the lines
    html = fmt::format("<span>{} lines, {} to {}</span>", series.size(),
                       escape_html(series.front().name), escape_html(series.back().name));
  }
  return html + render_mark_legend(options.marks);
}

/// A faint line has the colour of the line after it.
std::vector<size_t> colours_of(const std::vector<Series>& series) {
  std::vector<size_t> colours;
  size_t next = 0;
  for (const Series& line : series) colours.push_back((line.faint ? next : next++) % kColours);
  return colours;
}

std::string render_heat_row(const HeatRow& row, const Axis& x, double top, double height,
                            double most) {
  std::string svg;
  double drawn_to = -INFINITY;
  for (size_t i = 0; i < row.cells.size(); ++i) {
    const auto [from, value] = row.cells[i];
    const double to = i + 1 < row.cells.size() ? x.place(row.cells[i + 1].first) : x.end;
    // Cells that are too narrow to be seen make room for the next one.
    if (!std::isfinite(value) || (to - std::max(x.place(from), drawn_to) < 0.5 && to < x.end))
      continue;
    const double begin = i == 0 ? x.place(from) : std::max(drawn_to, x.begin);
    const double share = most > 0 ? std::clamp(value / most, 0.0, 1.0) : 0;
    svg += draw_box(begin, top, std::max(0.5, to - begin), height,
                    {.kind = "heat",
                     .style = fmt::format("fill-opacity:{:.3f}", share),
                     .title = fmt::format("{}: {} from {}", row.name, format_number(value),
                                          format_number(from))});
    drawn_to = to;
  }
  return svg;
}

}  // namespace

Points thinned(const Points& points, size_t stretches) {
  if (points.size() <= 2 * stretches) return points;
  Points kept;
  for (size_t i = 0; i < stretches; ++i) {
    const size_t begin = i * points.size() / stretches;
    const size_t end = (i + 1) * points.size() / stretches;
    size_t low = begin, high = begin;
    for (size_t j = begin; j < end; ++j) {
      if (!std::isfinite(points[j].second)) continue;
      if (!(points[low].second <= points[j].second)) low = j;
      if (!(points[high].second >= points[j].second)) high = j;
    }
    kept.push_back(points[std::min(low, high)]);
    if (high != low) kept.push_back(points[std::max(low, high)]);
  }
  return kept;
}

Series smoothed(const Series& raw, std::string name) {
  const double keep = 1 - 1 / std::max(1.0, static_cast<double>(raw.points.size()) / 50);
  Series smooth{std::move(name), {}};
  double sum = 0, weight = 0;
  for (const auto& [x, y] : raw.points) {
    if (!std::isfinite(y)) continue;
    sum = keep * sum + (1 - keep) * y;
    weight = keep * weight + (1 - keep);
    smooth.points.emplace_back(x, sum / weight);
  }
  return smooth;
}

std::string render_plot(const std::string& title, const std::vector<Series>& series,
                        const PlotOptions& options) {
  Extent widths, heights;
  for (const Series& line : series) {
    for (const auto& [x, y] : line.points) {
      if (std::isfinite(y)) widths.add(x), heights.add(y);
    }
  }
  if (heights.empty()) return "";
  const Frame& frame = options.small ? kSmall : kLarge;
  const Axis x = x_axis(widths, frame), y = y_axis(heights, options.scale, frame);
  const std::vector<size_t> colours = colours_of(series);
  const size_t max_points = kMaxPoints / (1 + series.size() / kColours);
  std::string svg = draw_axes(frame, x, y) + render_marks(options.marks, x, y);
  for (size_t i = 0; i < series.size(); ++i) {
    svg += render_line(series[i], colours[i], x, y, max_points);
  }
  return figure(title, y.logarithmic ? "log scale" : "", render_legend(series, colours, options),
                frame, svg);
}

std::string render_heat_map(const HeatMap& map) {
  double begin = INFINITY, most = 0;
  for (const HeatRow& row : map.rows) {
    for (const auto& [x, value] : row.cells) {
      begin = std::min(begin, x);
      if (std::isfinite(value)) most = std::max(most, value);
    }
  }
  if (!std::isfinite(begin)) return "";
  Frame frame = kLarge;
  const Axis x{begin, std::max(map.end, begin + 1), frame.left, frame.x_end()};
  const auto rows = static_cast<double>(map.rows.size());
  const double height = std::clamp((frame.y_end() - frame.top) / rows, kLeastRow, kMostRow);
  const size_t label_every = static_cast<size_t>(std::ceil(kTextHeight / height));
  std::string svg;
  double top = frame.top;
  for (size_t i = 0; i < map.rows.size(); ++i, top += height) {
    if (i % label_every == 0) {
      svg += draw_text(frame.left - 7, top + height / 2 + 4, map.rows[i].name, "end");
    }
    svg += render_heat_row(map.rows[i], x, top, height, most);
  }
  frame.height = top + frame.bottom;
  return figure(map.title, map.note,
                fmt::format("<span>0 <i class=\"ramp\"></i><b>{}</b></span>", format_number(most)),
                frame, svg + draw_x_ticks(frame, ticks_of(x, frame.x_ticks)));
}

std::string render_change(double before, double after, double low, double high) {
  constexpr double kLineWidth = 260, kMargin = 8;
  Axis axis{std::log10(low), std::log10(high), kMargin, kLineWidth - kMargin, true};
  if (axis.low == axis.high) axis.high += 1;
  const double from = axis.place(before), to = axis.place(after);
  return fmt::format("<svg class=\"change {}\" viewBox=\"0 0 {} 20\">{}{}{}{}</svg>",
                     after <= before ? "good" : "bad", kLineWidth,
                     draw_line(axis.begin, 10, axis.end, 10, {.kind = "track"}),
                     draw_line(from, 10, to, 10, {}), draw_dot(from, 10, 4, {.kind = "from"}),
                     draw_dot(to, 10, 5, {}));
}

}  // namespace hone::view
