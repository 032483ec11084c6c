#include "hone/view/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "hone/view/axis.h"
#include "hone/view/format.h"
#include "hone/view/page.h"

namespace hone::view {
namespace {

/// Size of the drawing, the frame that axes and labels leave to the lines, and how many ticks.
struct Frame {
  double width, height, left, right, top, bottom;
  int x_ticks, y_ticks;
};
constexpr Frame kLarge{640, 300, 58, 14, 10, 30, 6, 5};
constexpr Frame kSmall{320, 150, 58, 12, 8, 26, 4, 4};
constexpr size_t kColours = 8;
/// Lines of more points are thinned: more do not show.
constexpr size_t kMaxPoints = 1200;
constexpr double kLogSpan = 30;
constexpr int kMaxMarkLines = 8;  // told of one mark
// Of heat maps.
constexpr double kLeastRow = 4, kMostRow = 26, kTextHeight = 13;

bool drawable(double y, bool logarithmic) { return std::isfinite(y) && (!logarithmic || y > 0); }

/// The range of x (or y) over all points that can be drawn.
struct Ranges {
  double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
};

std::optional<Ranges> ranges_of(const std::vector<Series>& series) {
  Ranges r;
  for (const Series& line : series) {
    for (const auto& [x, y] : line.points) {
      if (!std::isfinite(y)) continue;
      r.x_low = std::min(r.x_low, x), r.x_high = std::max(r.x_high, x);
      r.y_low = std::min(r.y_low, y), r.y_high = std::max(r.y_high, y);
    }
  }
  if (r.x_low > r.x_high) return std::nullopt;
  return r;
}

Axis x_axis(const Ranges& r, const Frame& frame) {
  const bool single = r.x_low == r.x_high;
  return {single ? r.x_low - 1 : r.x_low, single ? r.x_high + 1 : r.x_high, frame.left,
          frame.width - frame.right};
}

Axis y_axis(const Ranges& r, Scale scale, const Frame& frame) {
  Axis axis{r.y_low, r.y_high, frame.height - frame.bottom, frame.top};
  axis.logarithmic = scale == Scale::kByRange && r.y_low > 0 && r.y_high / r.y_low > kLogSpan;
  if (axis.logarithmic) {
    axis.low = std::log10(r.y_low), axis.high = std::log10(r.y_high);
  } else if (r.y_low > 0 && r.y_low < 0.5 * r.y_high) {
    axis.low = 0;
  }
  double margin = 0.05 * (axis.high - axis.low);
  if (margin == 0) margin = axis.high == 0 ? 1 : 0.1 * std::abs(axis.high);
  axis.high += margin;
  if (axis.low != 0 || axis.logarithmic) axis.low -= margin;
  return axis;
}

/// As format_number(), with as many digits more as tell the ticks apart.
std::vector<std::string> tick_labels(const std::vector<double>& ticks) {
  std::vector<std::string> labels;
  for (const double tick : ticks) labels.push_back(format_number(tick));
  const auto twice = [&] {
    return std::adjacent_find(labels.begin(), labels.end()) != labels.end();
  };
  for (int digits = 5; digits <= 12 && twice(); ++digits) {
    for (size_t i = 0; i < ticks.size(); ++i) labels[i] = fmt::format("{:.{}g}", ticks[i], digits);
  }
  return labels;
}

std::string render_x_axis(const Axis& x, double bottom, int ticks) {
  std::string svg;
  const std::vector<double> at = x.ticks(ticks);
  const std::vector<std::string> labels = tick_labels(at);
  for (size_t i = 0; i < at.size(); ++i) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>",
                       x.place(at[i]), bottom + 20, labels[i]);
  }
  return svg + fmt::format("<line class=\"axis\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                           x.begin, x.end, bottom, bottom);
}

std::string render_axes(const Axis& x, const Axis& y, const Frame& frame) {
  std::string svg;
  const std::vector<double> at = y.ticks(frame.y_ticks);
  const std::vector<std::string> labels = tick_labels(at);
  for (size_t i = 0; i < at.size(); ++i) {
    svg += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                       x.begin, x.end, y.place(at[i]), y.place(at[i]));
    svg += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", x.begin - 7,
                       y.place(at[i]) + 4, labels[i]);
  }
  return svg + render_x_axis(x, y.begin, frame.x_ticks);
}

std::string render_line(const Series& line, size_t colour, const Axis& x, const Axis& y,
                        size_t max_points) {
  std::string path;
  bool pen_down = false;
  std::pair<double, double> last;
  for (const auto& point : thinned(line.points, max_points / 2)) {
    if (!drawable(point.second, y.logarithmic)) {
      pen_down = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', x.place(point.first),
                        y.place(point.second));
    pen_down = true;
    last = point;
  }
  if (path.empty()) return "";
  std::string svg = fmt::format("<path class=\"line{}\" style=\"stroke:var(--s{})\" d=\"{}\"/>",
                                line.faint ? " faint" : "", colour, path);
  if (line.faint) return svg;
  return svg + fmt::format(
                   "<circle r=\"4\" cx=\"{:.1f}\" cy=\"{:.1f}\" style=\"fill:var(--s{})\">"
                   "<title>{}: {}</title></circle>",
                   x.place(last.first), y.place(last.second), colour, escape_html(line.name),
                   format_number(last.second));
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
    html += fmt::format("<span><i class=\"mark\" style=\"background:var(--s{})\"></i>{}</span>",
                        colour, escape_html(name));
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
                : fmt::format("<span><i style=\"background:var(--s{})\"></i>{} <b>{}</b></span>",
                              colours[i], escape_html(series[i].name), value);
  }
  if (options.small && series.size() > kColours) {  // colours repeat: the pointer tells the lines
    html = fmt::format("<span>{} lines, {} to {}</span>", series.size(),
                       escape_html(series.front().name), escape_html(series.back().name));
  }
  return "<div class=\"legend\">" + html + render_mark_legend(options.marks) + "</div>";
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
    svg += fmt::format(
        "<rect class=\"heat\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
        "fill-opacity=\"{:.3f}\"><title>{}: {} from {}</title></rect>",
        begin, top, std::max(0.5, to - begin), height,
        most > 0 ? std::clamp(value / most, 0.0, 1.0) : 0, escape_html(row.name),
        format_number(value), format_number(from));
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
  const auto ranges = ranges_of(series);
  if (!ranges) return "";
  const Frame& frame = options.small ? kSmall : kLarge;
  const Axis x = x_axis(*ranges, frame), y = y_axis(*ranges, options.scale, frame);
  const std::vector<size_t> colours = colours_of(series);
  const size_t max_points = kMaxPoints / (1 + series.size() / kColours);
  std::string lines = render_marks(options.marks, x, y);
  for (size_t i = 0; i < series.size(); ++i) {
    lines += render_line(series[i], colours[i], x, y, max_points);
  }
  return fmt::format(
      "<figure><figcaption>{0}{1}</figcaption>{2}"
      "<svg viewBox=\"0 0 {3} {4}\" role=\"img\" aria-label=\"{0}\">{5}{6}</svg></figure>\n",
      escape_html(title), y.logarithmic ? " <small>log scale</small>" : "",
      render_legend(series, colours, options), frame.width, frame.height, render_axes(x, y, frame),
      lines);
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
  const Axis x{begin, std::max(map.end, begin + 1), kLarge.left, kLarge.width - kLarge.right};
  const double room = kLarge.height - kLarge.top - kLarge.bottom;
  const double height =
      std::clamp(room / static_cast<double>(map.rows.size()), kLeastRow, kMostRow);
  const size_t label_every = static_cast<size_t>(std::ceil(kTextHeight / height));
  std::string svg;
  double top = kLarge.top;
  for (size_t i = 0; i < map.rows.size(); ++i, top += height) {
    if (i % label_every == 0) {
      svg += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", x.begin - 7,
                         top + height / 2 + 4, escape_html(map.rows[i].name));
    }
    svg += render_heat_row(map.rows[i], x, top, height, most);
  }
  return fmt::format(
      "<figure><figcaption>{0} <small>{1}</small></figcaption><div class=\"legend\"><span>0 "
      "<i class=\"ramp\"></i><b>{2}</b></span></div><svg viewBox=\"0 0 {3} {4:.1f}\" role=\"img\" "
      "aria-label=\"{0}\">{5}{6}</svg></figure>\n",
      escape_html(map.title), escape_html(map.note), format_number(most), kLarge.width,
      top + kLarge.bottom, svg, render_x_axis(x, top, kLarge.x_ticks));
}

std::string render_change(double before, double after, double low, double high) {
  constexpr double kLineWidth = 260, kMargin = 8;
  Axis axis{std::log10(low), std::log10(high), kMargin, kLineWidth - kMargin, true};
  if (axis.low == axis.high) axis.high += 1;
  const double from = axis.place(before), to = axis.place(after);
  return fmt::format(
      "<svg class=\"change {}\" viewBox=\"0 0 {} 20\"><line class=\"track\" x1=\"{}\" x2=\"{}\" "
      "y1=\"10\" y2=\"10\"/><line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"10\" y2=\"10\"/>"
      "<circle class=\"from\" cx=\"{:.1f}\" cy=\"10\" r=\"4\"/><circle cx=\"{:.1f}\" cy=\"10\" "
      "r=\"5\"/></svg>",
      after <= before ? "good" : "bad", kLineWidth, kMargin, kLineWidth - kMargin, from, to, from,
      to);
}

}  // namespace hone::view
