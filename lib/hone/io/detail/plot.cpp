#include "hone/io/detail/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "hone/core/axis.h"
#include "hone/core/page.h"

namespace hone::io::detail {
namespace {

// Size of the drawing, and the frame that axes and labels leave to the lines.
constexpr double kWidth = 640, kHeight = 300;
constexpr double kLeft = 58, kRight = 14, kTop = 10, kBottom = 30;
constexpr size_t kColours = 8;
/// Lines of more points are thinned: more do not show.
constexpr size_t kMaxPoints = 1200;
constexpr double kLogSpan = 30;

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

Axis x_axis(const Ranges& r) {
  const bool single = r.x_low == r.x_high;
  return {single ? r.x_low - 1 : r.x_low, single ? r.x_high + 1 : r.x_high, kLeft, kWidth - kRight};
}

Axis y_axis(const Ranges& r, Scale scale) {
  Axis axis{r.y_low, r.y_high, kHeight - kBottom, kTop};
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

std::string render_axes(const Axis& x, const Axis& y) {
  std::string svg;
  for (double tick : y.ticks(5)) {
    svg += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                       kLeft, kWidth - kRight, y.place(tick), y.place(tick));
    svg += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 7,
                       y.place(tick) + 4, format_number(tick));
  }
  for (double tick : x.ticks(6)) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                       x.place(tick), kHeight - 10, format_number(tick));
  }
  return svg + fmt::format("<line class=\"axis\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", kLeft,
                           kWidth - kRight, kHeight - kBottom, kHeight - kBottom);
}

/// Keeps the lowest and the highest point of every stretch, so that spikes stay.
std::vector<std::pair<double, double>> thinned(
    const std::vector<std::pair<double, double>>& points) {
  if (points.size() <= kMaxPoints) return points;
  std::vector<std::pair<double, double>> kept;
  const size_t stretches = kMaxPoints / 2;
  for (size_t i = 0; i < stretches; ++i) {
    const auto begin = points.begin() + static_cast<long>(i * points.size() / stretches);
    const auto end = points.begin() + static_cast<long>((i + 1) * points.size() / stretches);
    auto [low, high] = std::minmax_element(
        begin, end, [](const auto& a, const auto& b) { return a.second < b.second; });
    if (high < low) std::swap(low, high);
    kept.push_back(*low);
    if (high != low) kept.push_back(*high);
  }
  return kept;
}

std::string render_line(const Series& line, size_t colour, const Axis& x, const Axis& y) {
  std::string path;
  bool pen_down = false;
  std::pair<double, double> last;
  for (const auto& point : thinned(line.points)) {
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

std::string render_legend(const std::vector<Series>& series, const std::vector<size_t>& colours) {
  std::string html;
  for (size_t i = 0; i < series.size(); ++i) {
    if (series[i].faint) continue;
    const double last = series[i].points.empty() ? NAN : series[i].points.back().second;
    html +=
        fmt::format("<span><i style=\"background:var(--s{})\"></i>{} <b>{}</b></span>", colours[i],
                    escape_html(series[i].name), std::isfinite(last) ? format_number(last) : "");
  }
  return "<div class=\"legend\">" + html + "</div>";
}

/// A faint line has the colour of the line after it.
std::vector<size_t> colours_of(const std::vector<Series>& series) {
  std::vector<size_t> colours;
  size_t next = 0;
  for (const Series& line : series) colours.push_back((line.faint ? next : next++) % kColours);
  return colours;
}

}  // namespace

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

std::string render_plot(const std::string& title, const std::vector<Series>& series, Scale scale) {
  const auto ranges = ranges_of(series);
  if (!ranges) return "";
  const Axis x = x_axis(*ranges), y = y_axis(*ranges, scale);
  const std::vector<size_t> colours = colours_of(series);
  std::string lines;
  for (size_t i = 0; i < series.size(); ++i) lines += render_line(series[i], colours[i], x, y);
  return fmt::format(
      "<figure><figcaption>{0}{1}</figcaption>{2}"
      "<svg viewBox=\"0 0 {3} {4}\" role=\"img\" aria-label=\"{0}\">{5}{6}</svg></figure>\n",
      escape_html(title), y.logarithmic ? " <small>log scale</small>" : "",
      render_legend(series, colours), kWidth, kHeight, render_axes(x, y), lines);
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

}  // namespace hone::io::detail
