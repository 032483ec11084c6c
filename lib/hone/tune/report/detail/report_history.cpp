#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "hone/tune/detail/order.h"
#include "hone/tune/pareto.h"
#include "hone/tune/report/detail/format.h"
#include "hone/tune/report/detail/report_parts.h"
#include "hone/tune/search.h"
#include "hone/view/format.h"

namespace hone::tune::detail {
namespace {

constexpr size_t kMostDots = 1500, kMostCurves = 160, kMostCurvePoints = 200, kMostLanes = 32;

/// What a pruned trial would have been: its value, else its last report.
double pruned_value(const Trial& trial, size_t objective) {
  if (objective < trial.values.size()) return trial.values[objective];
  return trial.intermediate.empty() || objective > 0 ? NAN : trial.intermediate.rbegin()->second;
}

std::vector<TrialPtr> of_state(const ReportData& data, TrialState state, bool refused_ones) {
  std::vector<TrialPtr> trials;
  for (const TrialPtr& trial : data.study.trials) {
    if (trial->state == state && refused(*trial) == refused_ones) trials.push_back(trial);
  }
  return trials;
}

/// The objective's finite values, by number.
std::vector<std::pair<TrialPtr, double>> values_of(const ReportData& data, size_t objective) {
  std::vector<std::pair<TrialPtr, double>> values;
  for (const TrialPtr& trial : of_state(data, TrialState::kComplete, false)) {
    if (objective < trial->values.size() && std::isfinite(trial->values[objective])) {
      values.emplace_back(trial, trial->values[objective]);
    }
  }
  return values;
}

std::string axis_note(const Axis& axis) { return axis.logarithmic ? "log scale" : ""; }

std::string counted(size_t n, const char* name) {
  return view::format_number(static_cast<double>(n)) + " " + name;
}

std::string joined_notes(const std::string& a, const std::string& b) {
  return a + (a.empty() || b.empty() ? "" : ", ") + b;
}

}  // namespace

std::string history_figure(const ReportData& data, size_t objective) {
  const auto values = values_of(data, objective);
  if (values.empty()) return "";
  const Frame frame;
  Extent numbers, heights;
  for (const auto& [trial, value] : values) heights.add(value);
  numbers.add(0);
  numbers.add(static_cast<double>(data.study.trials.back()->number));
  const Axis x = axis_over(numbers, false, frame.left, frame.x_end(), 0.02);
  const Axis y = axis_over(heights, heights.wants_log(), frame.y_end(), frame.top);
  const auto at = [&x](const Trial& trial) {
    return x.place_within(static_cast<double>(trial.number));
  };

  const Direction direction = data.study.directions[objective];
  std::string dots;
  const auto drawn = spread(values.size(), kMostDots);
  for (const size_t i : drawn) {
    dots += draw_dot(at(*values[i].first), y.place_within(values[i].second), 3.2,
                     {.kind = feasible(*values[i].first) ? "dot" : "pruned",
                      .title = trial_title(*values[i].first, data)});
  }
  Points best_line;
  double best = INFINITY;
  for (const auto& [trial, value] : values) {
    if (!feasible(*trial) || loss(value, direction) >= best) continue;
    if (!best_line.empty()) best_line.emplace_back(at(*trial), best_line.back().second);
    best = loss(value, direction);
    best_line.emplace_back(at(*trial), y.place_within(value));
  }
  if (!best_line.empty()) best_line.emplace_back(x.end, best_line.back().second);

  const auto pruned = of_state(data, TrialState::kPruned, false);
  auto failed = of_state(data, TrialState::kFail, false);
  std::erase_if(failed, [&](const TrialPtr& t) { return data.again.contains(t->number); });
  const auto refused_ones = of_state(data, TrialState::kPruned, true);
  for (const size_t i : spread(pruned.size(), kMostDots / 2)) {
    if (std::isnan(pruned_value(*pruned[i], objective))) continue;
    dots += draw_dot(at(*pruned[i]), y.place_within(pruned_value(*pruned[i], objective)), 3.2,
                     {.kind = "pruned", .title = trial_title(*pruned[i], data)});
  }
  const auto crosses = [&](const std::vector<TrialPtr>& trials, const char* kind) {
    for (const size_t i : spread(trials.size(), kMostDots / 4)) {
      dots += draw_cross(at(*trials[i]), frame.y_end(),
                         {.kind = kind, .title = trial_title(*trials[i], data)});
    }
  };
  crosses(failed, "failed");
  crosses(refused_ones, "refused");
  std::string legend = legend_item("background:var(--s0)", counted(values.size(), "complete")) +
                       legend_item("background:var(--s1)", "best so far");
  const auto count = [&legend](size_t n, const char* style, const char* name) {
    if (n > 0) legend += legend_item(style, counted(n, name));
  };
  count(pruned.size(), "border:2px solid var(--s7)", "pruned");
  count(failed.size(), "background:var(--bad)", "failed");
  count(refused_ones.size(), "background:var(--s4)", "refused");
  const std::string svg =
      draw_axes(frame, x, y, "trial") + dots + draw_path(best_line, {.kind = "best"});
  return figure("History of " + data.objectives[objective],
                joined_notes(axis_note(y), sampled_note(drawn.size(), values.size())), legend,
                frame, svg);
}

std::string distribution_figure(const ReportData& data, size_t objective) {
  const auto values = values_of(data, objective);
  if (values.size() < 2) return "";
  const Frame frame;
  Extent widths;
  std::vector<double> sorted;
  for (const auto& [trial, value] : values) {
    widths.add(value);
    sorted.push_back(value);
  }
  std::sort(sorted.begin(), sorted.end());
  const bool more = data.study.directions[objective] == Direction::kMaximize;
  if (more) std::reverse(sorted.begin(), sorted.end());
  const Axis x = axis_over(widths, widths.wants_log(), frame.left, frame.x_end(), 0.02);
  const Axis y{0, 1.03, frame.y_end(), frame.top};
  Points line{{x.place_within(sorted[0]), y.begin}};
  for (const size_t i : spread(sorted.size(), 400)) {
    line.emplace_back(x.place_within(sorted[i]), line.back().second);
    line.emplace_back(x.place_within(sorted[i]),
                      y.place(static_cast<double>(i + 1) / static_cast<double>(sorted.size())));
  }
  return figure("Share of trials as good or better",
                joined_notes(data.objectives[objective], axis_note(x)), "", frame,
                draw_axes(frame, x, y, data.objectives[objective]) +
                    draw_path(line, {.style = "stroke:var(--s0)"}));
}

std::string curves_figure(const ReportData& data) {
  std::vector<TrialPtr> trials;  // the best ones first
  for (const TrialPtr& trial : data.ranked) {
    if (!trial->intermediate.empty()) trials.push_back(trial);
  }
  for (const TrialPtr& trial : data.study.trials) {
    if (trial->intermediate.empty() || refused(*trial)) continue;
    if (trial->state != TrialState::kComplete) trials.push_back(trial);
  }
  Extent steps, heights;
  for (const TrialPtr& trial : trials) {
    for (const auto& [step, value] : trial->intermediate) {
      if (std::isfinite(value)) steps.add(static_cast<double>(step));
      heights.add(value);
    }
  }
  if (heights.empty()) return "";
  const Frame frame;
  const Axis x = axis_over(steps, false, frame.left, frame.x_end(), 0.02);
  const Axis y = axis_over(heights, heights.wants_log(), frame.y_end(), frame.top);
  std::string svg = draw_axes(frame, x, y, "step");
  std::vector<size_t> drawn = spread(trials.size(), kMostCurves, kMostCurves / 5);
  std::reverse(drawn.begin(), drawn.end());  // the best on top
  svg += "<g class=\"threads\">";
  for (const size_t i : drawn) {
    const Trial& trial = *trials[i];
    Points points;
    const std::vector<std::pair<int64_t, double>> reports(trial.intermediate.begin(),
                                                          trial.intermediate.end());
    for (const size_t p : spread(reports.size(), kMostCurvePoints)) {
      if (!std::isfinite(reports[p].second)) continue;
      points.emplace_back(x.place_within(static_cast<double>(reports[p].first)),
                          y.place_within(reports[p].second));
    }
    const bool best = data.best && data.best->number == trial.number;
    const char* colour = best                                   ? "var(--s1)"
                         : trial.state == TrialState::kComplete ? "var(--s0)"
                         : trial.state == TrialState::kRunning  ? "var(--s2)"
                                                                : "var(--s7)";
    const std::string title = trial_title(trial, data), stroke = std::string("stroke:") + colour;
    svg += draw_path(points, {best ? "best" : "thread", stroke, title});
    if (points.size() == 1) {
      svg += draw_dot(points[0].first, points[0].second, 2.5,
                      {.style = std::string("fill:") + colour, .title = title});
    }
  }
  const std::string legend = legend_item("background:var(--s0)", "complete") +
                             legend_item("background:var(--s7)", "pruned or failed") +
                             legend_item("background:var(--s2)", "running") +
                             legend_item("background:var(--s1)", "best");
  return figure("Reported values",
                joined_notes(axis_note(y), sampled_note(drawn.size(), trials.size())), legend,
                frame, svg + "</g>");
}

std::string front_figure(const ReportData& data, size_t x_objective, size_t y_objective) {
  Extent widths, heights;
  for (const TrialPtr& trial : data.ranked) {
    widths.add(trial->values[x_objective]);
    heights.add(trial->values[y_objective]);
  }
  if (widths.empty()) return "";
  const Frame frame{.width = 640, .height = 380};
  const Axis x = axis_over(widths, widths.wants_log(), frame.left, frame.x_end());
  const Axis y = axis_over(heights, heights.wants_log(), frame.y_end(), frame.top);
  std::vector<TrialPtr> front = pareto_front(data.study);
  std::erase_if(front, [&](const TrialPtr& trial) {
    return !std::isfinite(trial->values[x_objective]) || !std::isfinite(trial->values[y_objective]);
  });
  const std::map<int64_t, bool> on_front = [&front] {
    std::map<int64_t, bool> numbers;
    for (const TrialPtr& trial : front) numbers[trial->number] = true;
    return numbers;
  }();
  std::string svg =
      draw_axes(frame, x, y, data.objectives[x_objective], data.objectives[y_objective]);
  const auto at = [&](const Trial& trial) {
    return std::pair(x.place_within(trial.values[x_objective]),
                     y.place_within(trial.values[y_objective]));
  };
  const auto drawn = spread(data.ranked.size(), kMostDots);
  for (const size_t i : drawn) {
    const Trial& trial = *data.ranked[i];
    if (on_front.contains(trial.number)) continue;
    svg += draw_dot(at(trial).first, at(trial).second, 3,
                    {.kind = "pale", .title = trial_title(trial, data)});
  }
  Points line;
  for (const size_t i : sorted_order(front.size(), [&](size_t a, size_t b) {
         return front[a]->values[x_objective] < front[b]->values[x_objective];
       })) {
    line.push_back(at(*front[i]));
  }
  if (data.objectives.size() == 2) svg += draw_path(line, {"thread", "stroke:var(--s1)"});
  for (const TrialPtr& trial : front) {
    svg += draw_dot(at(*trial).first, at(*trial).second, 4.5,
                    {.style = "fill:var(--s1)", .title = trial_title(*trial, data)});
  }
  const std::string notes =
      joined_notes(x.logarithmic ? "log " + data.objectives[x_objective] : "",
                   y.logarithmic ? "log " + data.objectives[y_objective] : "");
  return figure("Pareto front", joined_notes(notes, sampled_note(drawn.size(), data.ranked.size())),
                legend_item("background:var(--s1)", counted(front.size(), "on the front")) +
                    legend_item("background:var(--s0)", "dominated"),
                frame, svg);
}

std::string timeline_figure(const ReportData& data) {
  struct Bar {
    TrialPtr trial;
    double begin, end;
  };
  std::vector<Bar> bars;
  Time last = std::numeric_limits<Time>::min();
  for (const TrialPtr& trial : data.study.trials) {
    if (trial->start)
      last = std::max({last, *trial->start, trial->complete.value_or(*trial->start)});
  }
  Extent times;
  for (const TrialPtr& trial : data.study.trials) {
    if (!trial->start || !ran(*trial)) continue;
    const Time end = trial->complete.value_or(last);
    bars.push_back({trial, static_cast<double>(*trial->start) / 1e6,
                    static_cast<double>(std::max(end, *trial->start)) / 1e6});
    times.add(bars.back().begin);
    times.add(bars.back().end);
  }
  if (bars.empty()) return "";
  std::sort(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) {
    return a.begin < b.begin || (a.begin == b.begin && a.trial->number < b.trial->number);
  });
  // A lane for each worker; trials that name none take the first lane that is free.
  std::vector<std::string> names;
  std::vector<double> free_from;
  std::vector<std::pair<size_t, const Bar*>> placed;
  size_t dropped = 0;
  for (const Bar& bar : bars) {
    const auto worker = bar.trial->user_attrs.find(kWorker);
    const std::string name = worker != bar.trial->user_attrs.end() && worker->second.is_string()
                                 ? worker->second.get<std::string>()
                                 : "";
    size_t lane = 0;
    while (lane < names.size() &&
           (names[lane] != name || (name.empty() && free_from[lane] > bar.begin))) {
      ++lane;
    }
    if (lane == kMostLanes) {
      ++dropped;
      continue;
    }
    if (lane == names.size()) {
      names.push_back(name);
      free_from.push_back(0);
    }
    free_from[lane] = std::max(free_from[lane], bar.end);
    placed.emplace_back(lane, &bar);
  }
  constexpr double kLane = 22;
  Frame frame{.width = 1240, .left = 150};
  frame.height = frame.top + frame.bottom + kLane * static_cast<double>(names.size());
  const double whole = times.high - times.low;
  const auto [unit, unit_name] = whole > 2 * 86400  ? std::pair(86400.0, "days")
                                 : whole > 2 * 3600 ? std::pair(3600.0, "hours")
                                 : whole > 120      ? std::pair(60.0, "minutes")
                                                    : std::pair(1.0, "seconds");
  const Axis x =
      view::axis_over({0, std::max(whole / unit, 1e-3)}, false, frame.left, frame.x_end(), 0);
  std::string svg =
      draw_x_ticks(frame, ticks_of(x, 10), fmt::format("{} since the start", unit_name));
  for (size_t lane = 0; lane < names.size(); ++lane) {
    svg += draw_text(frame.left - 8, frame.top + kLane * (static_cast<double>(lane) + 0.5) + 4,
                     names[lane], "end", "", 20);
  }
  const auto drawn = spread(placed.size(), 3000);
  for (const size_t i : drawn) {
    const auto& [lane, bar] = placed[i];
    const double from = x.place_within((bar->begin - times.low) / unit);
    const double to = x.place_within((bar->end - times.low) / unit);
    const TrialState state = bar->trial->state;
    const char* fill = state == TrialState::kComplete ? "fill:var(--s0)"
                       : state == TrialState::kPruned ? "fill:var(--s7)"
                       : state == TrialState::kFail   ? "fill:var(--bad)"
                                                      : "fill:var(--s2)";
    const std::string title =
        trial_title(*bar->trial, data) + ", " + view::format_duration(bar->end - bar->begin);
    svg += draw_box(from, frame.top + kLane * static_cast<double>(lane) + 3,
                    std::max(1.5, to - from), kLane - 6, {"span", fill, title});
  }
  std::string note = sampled_note(drawn.size(), placed.size());
  if (dropped > 0)
    note = joined_notes(note, fmt::format("{} trials in further lanes left out", dropped));
  const std::string legend = legend_item("background:var(--s0)", "complete") +
                             legend_item("background:var(--s7)", "pruned") +
                             legend_item("background:var(--bad)", "failed") +
                             legend_item("background:var(--s2)", "running");
  return figure("Timeline", note, legend, frame, svg, "wide");
}

}  // namespace hone::tune::detail
