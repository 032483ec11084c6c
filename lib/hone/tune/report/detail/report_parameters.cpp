#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hone/tune/detail/order.h"
#include "hone/tune/pareto.h"
#include "hone/tune/report/detail/format.h"
#include "hone/tune/report/detail/report_parts.h"
#include "hone/view/page.h"

namespace hone::tune::detail {
namespace {

constexpr size_t kMostThreads = 500, kMostSliceDots = 600, kMostColumns = 11, kMostSlices = 24;
constexpr size_t kContourParameters = 4, kContourCells = 28, kMostContourPoints = 400;
constexpr double kMargin = 0.03;
/// Of the contour's cells, against seams.
constexpr double kOverlap = 0.4;

std::vector<ParameterAxis> axes_of(const ReportData& data, size_t most) {
  std::vector<ParameterAxis> axes;
  for (const auto& [name, importance] : data.importances) {
    if (axes.size() < most) axes.emplace_back(name, data.ranked);
  }
  return axes;
}

/// Places of [0, 1] within the frame.
double across(const Frame& frame, double unit) {
  return frame.left + unit * (frame.x_end() - frame.left);
}
double upward(const Frame& frame, double unit) {
  return frame.y_end() - unit * (frame.y_end() - frame.top);
}
Ticks moved(Ticks ticks, const Frame& frame, double (*place)(const Frame&, double)) {
  for (auto& [at, label] : ticks) at = place(frame, at);
  return ticks;
}

std::string log_note(const ParameterAxis& axis) { return axis.logarithmic() ? "log scale" : ""; }

/// A point that contours are drawn from.
struct Known {
  double x, y, good;
  size_t place;
};

/// Shepard's interpolation: the mean weighted by distance^-3.
double interpolated(const std::vector<Known>& points, double x, double y) {
  double sum = 0, weights = 0;
  for (const Known& point : points) {
    const double square = (point.x - x) * (point.x - x) + (point.y - y) * (point.y - y) + 1e-5;
    const double weight = 1 / (square * std::sqrt(square));
    sum += weight * point.good;
    weights += weight;
  }
  return sum / weights;
}

std::string contour_figure(const ReportData& data, const ParameterAxis& x, const ParameterAxis& y,
                           bool shown) {
  std::vector<Known> points;
  for (size_t i = 0; i < data.ranked.size(); ++i) {
    const auto at_x = x.place(*data.ranked[i]), at_y = y.place(*data.ranked[i]);
    if (at_x && at_y) points.push_back({*at_x, *at_y, data.goodness(i), i});
  }
  if (points.size() < 3) return "";
  std::vector<Known> drawn;
  for (const size_t i : spread(points.size(), kMostContourPoints, kMostContourPoints / 5))
    drawn.push_back(points[i]);
  const Frame frame{.width = 760, .height = 430, .left = 90};
  const size_t columns = x.choices() ? std::min(x.choices(), kContourCells) : kContourCells;
  const size_t rows = y.choices() ? std::min(y.choices(), kContourCells) : kContourCells;
  const double wide = 1 / static_cast<double>(columns), high = 1 / static_cast<double>(rows);
  std::string svg;
  for (size_t i = 0; i < columns; ++i) {
    for (size_t j = 0; j < rows; ++j) {
      const double left = static_cast<double>(i) * wide, low = static_cast<double>(j) * high;
      const double good = interpolated(drawn, left + wide / 2, low + high / 2);
      svg += draw_box(across(frame, left), upward(frame, low + high),
                      across(frame, wide) - across(frame, 0) + kOverlap,
                      upward(frame, 0) - upward(frame, high) + kOverlap,
                      {"cell", "fill:" + ramp_colour(good)});
    }
  }
  for (const Known& point : drawn) {
    svg += draw_dot(across(frame, point.x), upward(frame, point.y), 3,
                    {.kind = "pin", .title = trial_title(*data.ranked[point.place], data, false)});
  }
  svg += draw_y_ticks(frame, moved(y.ticks(6), frame, upward)) +
         draw_x_ticks(frame, moved(x.ticks(7), frame, across), x.name());
  return fmt::format(
      "<div class=\"pair\"{}>{}</div>", shown ? "" : " hidden",
      figure(y.name() + " over " + x.name(), sampled_note(drawn.size(), points.size()),
             ramp_legend("worst", "best " + data.objectives[0]), frame, svg));
}

std::string slice_figure(const ReportData& data, const ParameterAxis& axis, const Axis& heights,
                         const Frame& frame, size_t objective) {
  std::string svg = draw_y_ticks(frame, ticks_of(heights, 4));
  std::vector<size_t> places;
  for (size_t i = 0; i < data.ranked.size(); ++i) {
    if (axis.place(*data.ranked[i])) places.push_back(i);
  }
  const double last = std::max<double>(1, static_cast<double>(data.study.trials.back()->number));
  const auto drawn = spread(places.size(), kMostSliceDots, kMostSliceDots / 5);
  for (const size_t i : drawn) {
    const Trial& trial = *data.ranked[places[i]];
    svg += draw_dot(across(frame, *axis.place(trial)),
                    heights.place_within(trial.values[objective]), 3,
                    {"tint", "fill:" + ramp_colour(static_cast<double>(trial.number) / last),
                     trial_title(trial, data, false)});
  }
  svg += draw_x_ticks(frame, moved(axis.ticks(4), frame, across));
  return figure(axis.name(), log_note(axis), "", frame, svg);
}

}  // namespace

ParameterAxis::ParameterAxis(std::string name, const std::vector<TrialPtr>& trials)
    : name_(std::move(name)) {
  Extent range;
  for (const TrialPtr& trial : trials) {
    const Param* param = trial->param(name_);
    if (!param) continue;
    if (!kind_) kind_ = param->distribution;
    if (!compatible(*kind_, param->distribution)) continue;
    if (const auto* real = std::get_if<FloatDistribution>(&param->distribution)) {
      range.add(real->low), range.add(real->high);
      axis_.logarithmic = real->log;
    } else if (const auto* whole = std::get_if<IntDistribution>(&param->distribution)) {
      range.add(static_cast<double>(whole->low)), range.add(static_cast<double>(whole->high));
      axis_.logarithmic = whole->log;
    } else {
      range.add(0);
    }
  }
  if (!kind_) return;
  if (const auto* categorical = std::get_if<CategoricalDistribution>(&*kind_)) {
    for (size_t i = 0; i < categorical->choices.size(); ++i) {
      choices_.push_back(value_text(*kind_, static_cast<double>(i)));
    }
    return;
  }
  axis_ = axis_over(range, axis_.logarithmic, 0, 1, kMargin);
}

std::optional<double> ParameterAxis::place(const Trial& trial) const {
  const Param* param = trial.param(name_);
  if (!param || !kind_ || !compatible(*kind_, param->distribution)) return std::nullopt;
  if (choices_.empty()) return axis_.place_within(param->value);
  return (param->value + 0.5) / static_cast<double>(choices_.size());
}

Ticks ParameterAxis::ticks(int about) const {
  if (choices_.empty()) return kind_ ? ticks_of(axis_, about) : Ticks{};
  Ticks ticks;
  const size_t stride = std::max<size_t>(1, choices_.size() / (2 * static_cast<size_t>(about)));
  for (size_t i = 0; i < choices_.size(); i += stride) {
    ticks.emplace_back((static_cast<double>(i) + 0.5) / static_cast<double>(choices_.size()),
                       choices_[i]);
  }
  return ticks;
}

std::string importance_figure(const ReportData& data) {
  if (data.importances.empty() || data.ranked.size() < 2) return "";
  constexpr double kBar = 26;
  const size_t shown = std::min(data.importances.size(), kMostSlices);
  Frame frame{.left = 170, .right = 60, .top = 4, .bottom = 6};
  frame.height = frame.top + frame.bottom + kBar * static_cast<double>(shown);
  std::string svg;
  const double most = std::max(data.importances[0].second, 1e-12);
  for (size_t i = 0; i < shown; ++i) {
    const auto& [name, importance] = data.importances[i];
    const double y = frame.top + kBar * static_cast<double>(i);
    const double length = importance / most * (frame.x_end() - frame.left);
    svg += draw_text(frame.left - 8, y + 17, name, "end", "name", 24) +
           draw_box(frame.left, y + 5, std::max(1.0, length), kBar - 10, {.kind = "bar"}) +
           draw_text(frame.left + length + 7, y + 17, fmt::format("{:.1f} %", 100 * importance));
  }
  return figure("Importance of parameters", "PED-ANOVA, the best tenth against all", "", frame,
                svg);
}

std::string parallel_figure(const ReportData& data) {
  const std::vector<ParameterAxis> axes = axes_of(data, kMostColumns);
  if (axes.empty() || data.ranked.size() < 2) return "";
  Extent heights;
  for (const TrialPtr& trial : data.ranked) heights.add(trial->values[0]);
  const Frame frame{.width = 1240, .height = 380, .left = 70, .right = 90, .top = 34, .bottom = 34};
  const Axis values = axis_over(heights, heights.wants_log(), frame.y_end(), frame.top);
  const double gap = (frame.x_end() - frame.left) / static_cast<double>(axes.size());
  const auto column = [&](size_t i) { return frame.left + gap * static_cast<double>(i); };
  bool missing = false;
  const auto drawn = spread(data.ranked.size(), kMostThreads, kMostThreads / 5);
  std::string svg = "<g class=\"threads\">";
  for (size_t k = drawn.size(); k-- > 0;) {  // the best on top
    const Trial& trial = *data.ranked[drawn[k]];
    Points points{{column(0), values.place_within(trial.values[0])}};
    for (size_t i = 0; i < axes.size(); ++i) {
      const auto at = axes[i].place(trial);
      missing |= !at;
      points.emplace_back(column(i + 1), at ? upward(frame, *at) : frame.y_end() + 12);
    }
    svg += draw_path(points, {"thread", "stroke:" + ramp_colour(data.goodness(drawn[k])),
                              trial_title(trial, data)});
  }
  svg += "</g>";
  const auto columns = static_cast<size_t>(std::max(6.0, gap / 7.2));
  const auto pole = [&](size_t i, const std::string& name, const Ticks& ticks) {
    svg += draw_line(column(i), frame.top, column(i), frame.y_end(), {.kind = "axis"}) +
           draw_text(column(i), 14, name, "middle", "name", columns);
    for (const auto& [at, label] : ticks) {
      svg += draw_text(column(i) + 5, at + 4, label, "start", "halo", columns);
    }
  };
  pole(0, data.objectives[0], ticks_of(values, 6));
  for (size_t i = 0; i < axes.size(); ++i) {
    pole(i + 1, axes[i].name(), moved(axes[i].ticks(5), frame, upward));
  }
  if (missing) {
    svg += draw_text(frame.width, frame.y_end() + 16, "not set", "end");
  }
  std::string note = sampled_note(drawn.size(), data.ranked.size());
  if (data.importances.size() > axes.size()) {
    note += fmt::format("{}the {} most important of {} parameters", note.empty() ? "" : ", ",
                        axes.size(), data.importances.size());
  }
  return figure("Parallel coordinates", note, ramp_legend("worst", "best " + data.objectives[0]),
                frame, svg, "wide");
}

std::string slice_figures(const ReportData& data, size_t objective) {
  Extent heights;
  for (const TrialPtr& trial : data.ranked) heights.add(trial->values[objective]);
  if (heights.empty()) return "";
  const Frame frame{.width = 420, .height = 250, .bottom = 28};
  const Axis axis = axis_over(heights, heights.wants_log(), frame.y_end(), frame.top);
  std::string html;
  for (const ParameterAxis& parameter : axes_of(data, kMostSlices)) {
    html += slice_figure(data, parameter, axis, frame, objective);
  }
  if (html.empty()) return "";
  return fmt::format(
      "<h2>{} by parameter</h2><div class=\"legend\">{}{}</div><div class=\"plots slices\">{}"
      "</div>\n",
      view::escape_html(data.objectives[objective]), ramp_legend("first trials", "last trials"),
      data.ranked.size() > kMostSliceDots
          ? "<span>" + sampled_note(kMostSliceDots, data.ranked.size()) + " a plot</span>"
          : "",
      html);
}

std::string contour_figures(const ReportData& data) {
  const std::vector<ParameterAxis> axes = axes_of(data, kContourParameters);
  std::string options, figures;
  for (size_t a = 0; a < axes.size(); ++a) {
    for (size_t b = a + 1; b < axes.size(); ++b) {
      const std::string one = contour_figure(data, axes[a], axes[b], figures.empty());
      if (one.empty()) continue;
      figures += one;
      options += fmt::format("<option>{} × {}</option>", view::escape_html(axes[a].name()),
                             view::escape_html(axes[b].name()));
    }
  }
  if (figures.empty()) return "";
  return fmt::format(
      "<h2>Two parameters together</h2><label class=\"legend\">Pair <select id=\"pair\">{}"
      "</select></label><div class=\"pairs\">{}</div>\n",
      options, figures);
}

}  // namespace hone::tune::detail
