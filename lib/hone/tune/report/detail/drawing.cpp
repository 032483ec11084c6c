#include "hone/tune/report/detail/drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "hone/core/utf8.h"
#include "hone/view/format.h"
#include "hone/view/page.h"

namespace hone::tune::detail {
namespace {

constexpr size_t kLabelColumns = 14, kTitleColumns = 40;

std::string title_of(std::string_view title) {
  return title.empty() ? "" : "<title>" + view::escape_html(title) + "</title>";
}

std::string style_of(std::string_view style) {
  return style.empty() ? "" : fmt::format(" style=\"{}\"", style);
}

}  // namespace

view::Axis axis_over(const Extent& range, bool logarithmic, double begin, double end,
                     double margin) {
  view::Axis axis{range.low, range.high, begin, end, logarithmic};
  if (logarithmic) {
    axis.low = std::log10(range.low);
    axis.high = std::log10(range.high);
  }
  double around = margin * (axis.high - axis.low);
  // One value, or values that differ by rounding only, get some room.
  const double size = std::max(std::abs(axis.low), std::abs(axis.high));
  if (!(axis.high - axis.low > 1e-9 * size)) around = size == 0 ? 1 : 0.1 * size;
  axis.low -= around;
  axis.high += around;
  return axis;
}

double placed(const view::Axis& axis, double value) {
  if (std::isnan(value) || (axis.logarithmic && value <= 0)) return axis.begin;
  const double at = axis.place(value);
  return std::isnan(at)
             ? axis.begin
             : std::clamp(at, std::min(axis.begin, axis.end), std::max(axis.begin, axis.end));
}

Ticks ticks_of(const view::Axis& axis, int about) {
  Ticks ticks;
  for (const double tick : axis.ticks(about)) {
    ticks.emplace_back(axis.place(tick), view::format_number(tick));
  }
  return ticks;
}

std::string draw_x_ticks(const Frame& frame, const Ticks& ticks, std::string_view title) {
  std::string svg =
      fmt::format("<line class=\"axis\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                  frame.left, frame.x_end(), frame.y_end(), frame.y_end());
  double gap = frame.width;  // between neighbours, so that labels do not meet
  for (size_t i = 1; i < ticks.size(); ++i)
    gap = std::min(gap, ticks[i].first - ticks[i - 1].first);
  const size_t columns = std::clamp<size_t>(static_cast<size_t>(gap / 7), 3, kLabelColumns);
  for (const auto& [at, label] : ticks) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", at,
                       frame.y_end() + 16, view::escape_html(shortened_to_columns(label, columns)));
  }
  return svg +
         fmt::format("<text class=\"name\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
                     frame.x_end(), frame.height - 6,
                     view::escape_html(shortened_to_columns(title, kTitleColumns)));
}

std::string draw_y_ticks(const Frame& frame, const Ticks& ticks, std::string_view title) {
  std::string svg;
  for (const auto& [at, label] : ticks) {
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
        frame.left, frame.x_end(), at, at, frame.left - 7, at + 4,
        view::escape_html(shortened_to_columns(label, kLabelColumns)));
  }
  if (title.empty()) return svg;
  return svg + fmt::format("<text class=\"name\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
                           frame.left + 4, frame.top + 10,
                           view::escape_html(shortened_to_columns(title, kTitleColumns)));
}

std::string draw_axes(const Frame& frame, const view::Axis& x, const view::Axis& y,
                      std::string_view x_title, std::string_view y_title) {
  return draw_y_ticks(frame, ticks_of(y, 5), y_title) +
         draw_x_ticks(frame, ticks_of(x, 6), x_title);
}

std::string draw_dot(double x, double y, double radius, std::string_view kind,
                     std::string_view title, std::string_view style) {
  return fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"{}>{}</circle>",
                     kind, x, y, radius, style_of(style), title_of(title));
}

std::string draw_cross(double x, double y, std::string_view kind, std::string_view title) {
  return fmt::format("<path class=\"{}\" d=\"M{:.1f} {:.1f}l7 7m0 -7l-7 7\">{}</path>", kind,
                     x - 3.5, y - 3.5, title_of(title));
}

std::string draw_path(const std::vector<std::pair<double, double>>& points, std::string_view kind,
                      std::string_view title, std::string_view style) {
  if (points.empty()) return "";
  std::string path;
  for (const auto& [x, y] : points) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? 'M' : 'L', x, y);
  }
  return fmt::format("<path class=\"line {}\" d=\"{}\"{}>{}</path>", kind, path, style_of(style),
                     title_of(title));
}

std::string legend_item(std::string_view style, std::string_view text) {
  return fmt::format("<span><i style=\"{}\"></i>{}</span>", style, view::escape_html(text));
}

std::string figure(std::string_view caption, std::string_view note, std::string_view legend,
                   const Frame& frame, std::string_view svg, std::string_view kind) {
  return fmt::format(
      "<figure class=\"{}\"><figcaption>{}{}</figcaption><div class=\"legend\">{}</div>"
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}</svg></figure>\n",
      kind, view::escape_html(caption),
      note.empty() ? "" : " <small>" + view::escape_html(note) + "</small>", legend, frame.width,
      frame.height, view::escape_html(caption), svg);
}

std::string ramp_colour(double good) {
  static constexpr std::array<std::array<double, 3>, 3> kStops{
      {{154, 163, 178}, {74, 134, 232}, {15, 181, 138}}};
  const double at = 2 * std::clamp(std::isnan(good) ? 0.0 : good, 0.0, 1.0);
  const auto from = std::min<size_t>(static_cast<size_t>(at), 1);
  std::string colour = "#";
  for (size_t c = 0; c < 3; ++c) {
    const double mix = kStops[from][c] +
                       (at - static_cast<double>(from)) * (kStops[from + 1][c] - kStops[from][c]);
    colour += fmt::format("{:02x}", static_cast<int>(std::lround(mix)));
  }
  return colour;
}

std::string ramp_legend(std::string_view bad, std::string_view good) {
  return fmt::format("<span>{}<i class=\"ramp\"></i>{}</span>", view::escape_html(bad),
                     view::escape_html(good));
}

}  // namespace hone::tune::detail
