/// The page that shows a study.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "hone/tune/search.h"
#include "hone/tune/trial.h"

namespace hone::tune {

struct ReportOptions {
  std::string title;                    ///< else the study's name
  std::vector<std::string> objectives;  ///< names for people; else "value", or "value 1", ...
  size_t max_rows = 1000;               ///< of the table of trials: the best ones are shown
  /// User attributes of which the table's last column shows the first that a trial has, as text.
  std::vector<std::string> notes{kRefused};
};

/// A page of HTML that needs no network: figures, the best trial or the Pareto front, optimisation
/// history, intermediate values, importances, parallel coordinates, slices, contours, timeline,
/// empirical distribution, and a table of trials that sorts by clicks. Plots are inline SVG; names,
/// values and reasons are escaped. Of many trials the plots draw a part (plots of parameters: the
/// best, and the others evenly spread) and the table shows the best; the page says so.
/// io::replace_file_atomically makes a file of it.
std::string render_study_report(const StudyView& study, const ReportOptions& options = {});

}  // namespace hone::tune
