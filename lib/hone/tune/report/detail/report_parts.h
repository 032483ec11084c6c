/// The parts of a study's page.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/tune/trial.h"
#include "hone/view/axis.h"
#include "hone/view/drawing.h"

namespace hone::tune::detail {

using view::Axis, view::Extent, view::figure, view::Frame, view::legend_item, view::Points,
    view::ramp_colour, view::ramp_legend, view::Ticks;
using view::draw_axes, view::draw_box, view::draw_cross, view::draw_dot, view::draw_line,
    view::draw_path, view::draw_text, view::draw_x_ticks, view::draw_y_ticks;

/// A study with what several parts need.
struct ReportData {
  const StudyView& study;
  std::vector<std::string> objectives;  ///< names
  std::vector<TrialPtr> ranked;         ///< complete, feasible, with finite values; best first
  std::vector<std::pair<std::string, double>> importances;
  TrialPtr best;                     ///< by the first objective; null if there is none
  std::map<int64_t, int64_t> again;  ///< tried_again()

  /// 1 for the first of ranked, 0 for the last.
  double goodness(size_t place) const {
    return ranked.size() < 2
               ? 1
               : 1 - static_cast<double>(place) / static_cast<double>(ranked.size() - 1);
  }
};

ReportData report_data(const StudyView& study, const std::vector<std::string>& objectives);

/// Places below `n`: all, or `most` of them: the first `keep`, then evenly spread to the last.
std::vector<size_t> spread(size_t n, size_t most, size_t keep = 0);
/// "" or "500 of 9,000 trials".
std::string sampled_note(size_t drawn, size_t of);
/// "trial 7: loss 0.12", and its parameters a line each where wanted.
std::string trial_title(const Trial& trial, const ReportData& data, bool params = true);

/// A parameter's values along an axis of length 1.
class ParameterAxis {
 public:
  ParameterAxis(std::string name, const std::vector<TrialPtr>& trials);
  const std::string& name() const { return name_; }
  bool logarithmic() const { return axis_.logarithmic; }
  /// The number of choices; 0 for a number.
  size_t choices() const { return choices_.size(); }
  /// In [0, 1]; nullopt where the trial has not the parameter, or another kind under its name.
  std::optional<double> place(const Trial& trial) const;
  /// Places and labels.
  Ticks ticks(int about) const;

 private:
  std::string name_;
  Axis axis_;
  std::optional<Distribution> kind_;
  std::vector<std::string> choices_;
};

/// Each part is "" where the study has nothing for it.
std::string history_figure(const ReportData& data, size_t objective);
std::string distribution_figure(const ReportData& data, size_t objective);
std::string curves_figure(const ReportData& data);
std::string front_figure(const ReportData& data, size_t x, size_t y);
std::string timeline_figure(const ReportData& data);
std::string importance_figure(const ReportData& data);
std::string parallel_figure(const ReportData& data);
std::string slice_figures(const ReportData& data, size_t objective);
std::string contour_figures(const ReportData& data);

}  // namespace hone::tune::detail
