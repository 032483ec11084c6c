#include "hone/view/drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "hone/core/utf8.h"
#include "hone/view/format.h"
#include "hone/view/page.h"

namespace hone::view {
namespace {

constexpr size_t kLabelColumns = 14;
constexpr double kColumn = 6;  // about the width of a digit

std::string attribute(std::string_view name, std::string_view value) {
  return value.empty() ? "" : fmt::format(" {}=\"{}\"", name, value);
}

/// "<name class style attributes><title></name>".
std::string shape(std::string_view name, const Look& look, const std::string& attributes) {
  return fmt::format("<{}{}{} {}{}", name, attribute("class", look.kind),
                     attribute("style", look.style), attributes,
                     look.title.empty()
                         ? "/>"
                         : fmt::format("><title>{}</title></{}>", escape_html(look.title), name));
}

}  // namespace

Ticks ticks_of(const Axis& axis, int about) {
  Ticks ticks;
  const std::vector<double> values = axis.ticks(about);
  for (const double value : values) ticks.emplace_back(axis.place(value), format_number(value));
  const auto alike = [](const auto& a, const auto& b) { return a.second == b.second; };
  for (int digits = 5; digits <= 12; ++digits) {
    if (std::adjacent_find(ticks.begin(), ticks.end(), alike) == ticks.end()) break;
    for (size_t i = 0; i < ticks.size(); ++i) {
      ticks[i].second = fmt::format("{:.{}g}", values[i], digits);
    }
  }
  return ticks;
}

std::string draw_x_ticks(const Frame& frame, const Ticks& ticks, std::string_view title) {
  std::string svg =
      draw_line(frame.left, frame.y_end(), frame.x_end(), frame.y_end(), {.kind = "axis"});
  double gap = frame.width;  // between neighbours, so that labels do not meet
  for (size_t i = 1; i < ticks.size(); ++i)
    gap = std::min(gap, ticks[i].first - ticks[i - 1].first);
  const size_t columns = std::clamp<size_t>(static_cast<size_t>(gap / kColumn), 3, kLabelColumns);
  for (const auto& [at, label] : ticks) {
    svg += draw_text(at, frame.y_end() + 18, label, "middle", "", columns);
  }
  if (title.empty()) return svg;
  return svg + draw_text(frame.x_end(), frame.height - 6, title, "end", "name");
}

std::string draw_y_ticks(const Frame& frame, const Ticks& ticks, std::string_view title) {
  std::string svg;
  for (const auto& [at, label] : ticks) {
    svg += draw_line(frame.left, at, frame.x_end(), at, {.kind = "grid"}) +
           draw_text(frame.left - 7, at + 4, label, "end", "", kLabelColumns);
  }
  if (title.empty()) return svg;
  return svg + draw_text(frame.left + 4, frame.top + 10, title, "start", "name");
}

std::string draw_axes(const Frame& frame, const Axis& x, const Axis& y, std::string_view x_title,
                      std::string_view y_title) {
  return draw_y_ticks(frame, ticks_of(y, frame.y_ticks), y_title) +
         draw_x_ticks(frame, ticks_of(x, frame.x_ticks), x_title);
}

std::string draw_dot(double x, double y, double radius, const Look& look) {
  return shape("circle", look, fmt::format("cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"", x, y, radius));
}

std::string draw_cross(double x, double y, const Look& look) {
  return shape("path", look, fmt::format("d=\"M{:.1f} {:.1f}l7 7m0 -7l-7 7\"", x - 3.5, y - 3.5));
}

std::string draw_line(double x1, double y1, double x2, double y2, const Look& look) {
  return shape(
      "line", look,
      fmt::format("x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"", x1, x2, y1, y2));
}

std::string draw_box(double x, double y, double width, double height, const Look& look) {
  return shape("rect", look,
               fmt::format("x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"", x, y,
                           width, height));
}

std::string draw_path(const Points& points, const Look& look) {
  std::string path;
  bool pen_down = false;
  for (const auto& [x, y] : points) {
    const bool drawn = std::isfinite(x) && std::isfinite(y);
    if (drawn) path += fmt::format("{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', x, y);
    pen_down = drawn;
  }
  if (path.empty()) return "";
  const std::string kind = look.kind.empty() ? "line" : fmt::format("line {}", look.kind);
  return shape("path", {kind, look.style, look.title}, "d=\"" + path + "\"");
}

std::string draw_text(double x, double y, std::string_view text, std::string_view anchor,
                      std::string_view kind, size_t columns) {
  const std::string shown = shortened_to_columns(text, columns);
  return fmt::format("<text{} x=\"{:.1f}\" y=\"{:.1f}\"{}>{}{}</text>", attribute("class", kind), x,
                     y, anchor == "start" ? "" : attribute("text-anchor", anchor),
                     escape_html(shown),
                     shown == text ? "" : "<title>" + escape_html(text) + "</title>");
}

std::string legend_item(std::string_view style, std::string_view text, std::string_view value) {
  return fmt::format("<span><i style=\"{}\"></i>{}{}</span>", style, escape_html(text),
                     value.empty() ? "" : " <b>" + escape_html(value) + "</b>");
}

std::string figure(std::string_view caption, std::string_view note, std::string_view legend,
                   const Frame& frame, std::string_view svg, std::string_view kind) {
  return fmt::format(
      "<figure{}><figcaption>{}{}</figcaption><div class=\"legend\">{}</div>"
      "<svg viewBox=\"0 0 {:.6g} {:.6g}\" role=\"img\" aria-label=\"{}\">{}</svg></figure>\n",
      attribute("class", kind), escape_html(caption),
      note.empty() ? "" : " <small>" + escape_html(note) + "</small>", legend, frame.width,
      frame.height, escape_html(caption), svg);
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
  return fmt::format(
      "<span>{}<i class=\"ramp\" "
      "style=\"background:linear-gradient(90deg,{},{},{})\"></i>{}</span>",
      escape_html(bad), ramp_colour(0), ramp_colour(0.5), ramp_colour(1), escape_html(good));
}

}  // namespace hone::view
