#include "hone/tune/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "hone/tune/detail/order.h"
#include "hone/tune/importance.h"
#include "hone/tune/pareto.h"
#include "hone/tune/report/detail/format.h"
#include "hone/tune/report/detail/report_parts.h"
#include "hone/tune/search.h"
#include "hone/tune/standard_error.h"
#include "hone/view/format.h"
#include "hone/view/page.h"

namespace hone::tune {
namespace {

using detail::ReportData;

constexpr const char* kReportStyle = R"(
.short{max-height:420px;overflow-y:auto}
.wide{grid-column:1/-1}
.plots.slices{grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}
.plots+.plots,.plots+figure{margin-top:14px}
.legend{margin-bottom:2px}
svg .dot{fill:var(--s0);fill-opacity:.7}
svg .tint{fill-opacity:.8}
svg .pale{fill:var(--s0);fill-opacity:.4}
svg .pin{fill:#fff;fill-opacity:.75;stroke:#1a2230;stroke-width:.8}
svg .pruned{fill:none;stroke:var(--s7);stroke-width:1.3}
svg .failed{fill:none;stroke:var(--bad);stroke-width:1.8}
svg .refused{fill:none;stroke:var(--s4);stroke-width:1.8}
svg circle:hover{stroke:var(--ink);stroke-width:2;stroke-opacity:1}
svg .best{stroke:var(--s1)}
svg .thread{stroke-width:1.4;stroke-opacity:.6}
svg .threads:hover .thread{stroke-opacity:.15}
svg .threads .thread:hover{stroke-width:4;stroke-opacity:1}
svg .cell~.grid{display:none}
svg .bar{fill:var(--s0)}
svg .bar,svg .span{rx:3px}
svg .span:hover{stroke:var(--ink);stroke-width:2}
svg .halo{paint-order:stroke;stroke:var(--card);stroke-width:3px}
.pairs figure{max-width:900px}
select{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--rule);
border-radius:8px;padding:4px 8px}
#trials th{cursor:pointer;white-space:nowrap}
#trials th.up::after{content:" ▲"}#trials th.down::after{content:" ▼"}
#trials td,#trials th{padding:5px 16px 5px 0}
.state{color:var(--soft)}.state.complete{color:var(--ink)}.state.fail{color:var(--bad)}
)";

// Sorts the table of trials by the column that is clicked, and shows the chosen contour.
constexpr const char* kReportScript = R"(
document.querySelectorAll('#trials th').forEach((head,column)=>head.onclick=()=>{
const body=document.querySelector('#trials tbody'),up=!head.classList.contains('up');
document.querySelectorAll('#trials th').forEach(h=>h.className=h.className.replace(/up|down/g,''));
head.classList.add(up?'up':'down');
const key=row=>{const cell=row.cells[column];return cell.dataset.v===undefined?cell.textContent:
parseFloat(cell.dataset.v)};
[...body.rows].map(row=>[key(row),row]).sort(([a],[b])=>{
if(a===''||b==='')return(a==='')-(b==='');
const order=typeof a==='number'&&typeof b==='number'?a-b:String(a).localeCompare(String(b));
return up?order:-order}).forEach(([,row])=>body.append(row))});
const pair=document.getElementById('pair');
if(pair)pair.onchange=()=>document.querySelectorAll('.pair').forEach((one,i)=>
one.hidden=i!==pair.selectedIndex);
)";

std::string tile(const std::string& value, const std::string& name) {
  return fmt::format("<div><b>{}</b><span>{}</span></div>", view::escape_html(value),
                     view::escape_html(name));
}

std::string render_tiles(const ReportData& data) {
  std::map<std::string, int64_t> counts;
  double work = 0;
  std::optional<Time> first, last;
  for (const TrialPtr& trial : data.study.trials) {
    ++counts[standing(*trial, data.again)];
    if (!detail::ran(*trial)) continue;
    work += detail::duration(*trial).value_or(0);
    if (trial->start) first = std::min(first.value_or(*trial->start), *trial->start);
    if (trial->complete) last = std::max(last.value_or(*trial->complete), *trial->complete);
  }
  std::string html;
  if (data.study.directions.size() > 1) {
    html += tile(fmt::format("{}", pareto_front(data.study).size()), "trials on the Pareto front");
  } else if (data.best) {
    html += tile(view::format_number(data.best->values[0]), "best " + data.objectives[0]);
  }
  for (const char* state :
       {"complete", "pruned", "failed", "interrupted", "refused", "running", "waiting"}) {
    if (counts[state] == 0) continue;
    html += tile(view::format_number(static_cast<double>(counts[state])), state);
  }
  if (first && last && *last > *first) {
    html += tile(view::format_duration(static_cast<double>(*last - *first) / 1e6),
                 "from first start to last end");
    html += tile(view::format_duration(work), "of trials in all");
  }
  return "<div class=\"tiles\">" + html + "</div>\n";
}

/// The columns of all parameters, in the order of importance.
std::vector<std::string> parameter_names(const ReportData& data) {
  std::vector<std::string> names;
  for (const auto& [name, importance] : data.importances) names.push_back(name);
  for (const TrialPtr& trial : data.study.trials) {
    for (const Param& param : trial->params) {
      if (std::find(names.begin(), names.end(), param.name) == names.end()) {
        names.push_back(param.name);
      }
    }
  }
  return names;
}

std::string number_cell(double value, const std::string& text) {
  return fmt::format("<td class=\"number\" data-v=\"{}\">{}</td>", value, view::escape_html(text));
}

std::string header(const ReportData& data, const std::vector<std::string>& names, bool whole) {
  std::string html = "<thead><tr><th class=\"number\">trial</th>";
  if (whole) html += "<th>state</th>";
  for (const std::string& objective : data.objectives) {
    html += fmt::format("<th class=\"number\">{}</th>", view::escape_html(objective));
  }
  for (const std::string& name : names) {
    html += fmt::format("<th class=\"number\">{}</th>", view::escape_html(name));
  }
  if (whole) html += "<th class=\"number\">duration</th><th>note</th>";
  return html + "</tr></thead>";
}

std::string note_of(const Trial& trial, const std::vector<std::string>& notes) {
  for (const std::string& key : notes) {
    const auto found = trial.user_attrs.find(key);
    if (found != trial.user_attrs.end() && found->second.is_string()) {
      return found->second.get<std::string>();
    }
  }
  return "";
}

/// `whole`: with state, duration and `note`.
std::string row(const ReportData& data, const Trial& trial, const std::vector<std::string>& names,
                bool whole, const std::string& note = "") {
  std::string html =
      "<tr>" + number_cell(static_cast<double>(trial.number), fmt::format("{}", trial.number));
  if (whole) {
    html += fmt::format("<td class=\"state {}\">{}</td>", enum_name(trial.state),
                        standing(trial, data.again));
  }
  for (size_t i = 0; i < data.objectives.size(); ++i) {
    html += i < trial.values.size() ? number_cell(trial.values[i], value_with_error(trial, i))
                                    : "<td></td>";
  }
  for (const std::string& name : names) {
    const Param* param = trial.param(name);
    if (!param) {
      html += "<td></td>";
      continue;
    }
    const std::string text = detail::value_text(param->distribution, param->value);
    html += std::holds_alternative<CategoricalDistribution>(param->distribution)
                ? fmt::format("<td class=\"number\">{}</td>", view::escape_html(text))
                : number_cell(param->value, text);
  }
  if (whole) {
    const auto seconds = detail::duration(trial);
    html += seconds ? number_cell(*seconds, view::format_duration(*seconds)) : "<td></td>";
    html += "<td>" + view::escape_html(note) + "</td>";
  }
  return html + "</tr>";
}

std::string render_best(const ReportData& data) {
  constexpr size_t kMostFront = 50;
  const bool several = data.study.directions.size() > 1;
  std::vector<TrialPtr> trials;
  if (several) {
    trials = pareto_front(data.study);
    std::sort(trials.begin(), trials.end(), [](const TrialPtr& a, const TrialPtr& b) {
      return std::pair(a->values[0], a->number) < std::pair(b->values[0], b->number);
    });
  } else if (data.best) {
    trials = {data.best};
  }
  if (trials.empty()) return "";
  const std::vector<std::string> names = parameter_names(data);
  std::string html;
  for (size_t i = 0; i < std::min(trials.size(), kMostFront); ++i) {
    html += row(data, *trials[i], names, false);
  }
  const std::string cut =
      trials.size() > kMostFront
          ? fmt::format(" <small>the first {} of {}</small>", kMostFront, trials.size())
          : "";
  const std::string tied = several ? "" : ties_text(ties(data.study, *data.best));
  return fmt::format(
      "<h2>{}{}</h2><div class=\"card short\"><table>{}<tbody>{}</tbody></table>{}</div>\n",
      several ? "The Pareto front" : "The best trial", cut, header(data, names, false), html,
      tied.empty() ? "" : "<p>It is " + tied + ".</p>");
}

std::string render_table(const ReportData& data, const ReportOptions& options) {
  const size_t max_rows = options.max_rows;
  std::vector<TrialPtr> trials = data.study.trials;
  std::string note = "click a column's name to sort";
  if (trials.size() > max_rows) {
    std::map<int64_t, bool> is_ranked;
    for (const TrialPtr& trial : data.ranked) is_ranked[trial->number] = true;
    std::erase_if(trials, [&](const TrialPtr& trial) { return is_ranked.contains(trial->number); });
    trials.insert(trials.begin(), data.ranked.begin(), data.ranked.end());
    note = fmt::format("the best {} of {}; {}", view::format_number(static_cast<double>(max_rows)),
                       view::format_number(static_cast<double>(trials.size())), note);
    trials.resize(max_rows);
  }
  const std::vector<std::string> names = parameter_names(data);
  std::string html;
  for (const TrialPtr& trial : trials) {
    html += row(data, *trial, names, true, note_of(*trial, options.notes)) + "\n";
  }
  return fmt::format(
      "<h2>Trials <small>{}</small></h2><div class=\"card\"><table id=\"trials\">{}<tbody>{}"
      "</tbody></table></div>\n",
      note, header(data, names, true), html);
}

std::string grid(const std::string& figures) {
  return figures.empty() ? "" : "<div class=\"plots\">" + figures + "</div>\n";
}

std::string subtitle(const ReportData& data) {
  std::string text;
  for (size_t i = 0; i < data.objectives.size(); ++i) {
    text += fmt::format("{}{} {}", i ? ", " : "", enum_name(data.study.directions[i]),
                        data.objectives[i]);
  }
  return "<p class=\"sub\">" + view::escape_html(text) + "</p>";
}

}  // namespace

std::string render_study_report(const StudyView& study, const ReportOptions& options) {
  const ReportData data = detail::report_data(study, options.objectives);
  const size_t objectives = study.directions.size();
  std::string overview, slices;
  for (size_t i = 0; i < objectives; ++i) {
    overview += detail::history_figure(data, i);
    if (i < 3) slices += detail::slice_figures(data, i);
  }
  for (size_t x = 0; x < std::min<size_t>(objectives, 3); ++x) {
    for (size_t y = x + 1; y < std::min<size_t>(objectives, 3); ++y) {
      overview += detail::front_figure(data, x, y);
    }
  }
  overview += detail::curves_figure(data) + detail::importance_figure(data);
  for (size_t i = 0; i < objectives; ++i) overview += detail::distribution_figure(data, i);
  overview += detail::parallel_figure(data) + detail::timeline_figure(data);
  const std::string title = view::escape_html(options.title.empty() ? study.name : options.title);
  return view::render_page(title,
                           "<h1>" + title + "</h1>" + subtitle(data) + render_tiles(data) +
                               render_best(data) + "<h2>Course of the search</h2>" +
                               grid(overview) + slices + detail::contour_figures(data) +
                               render_table(data, options),
                           kReportStyle, kReportScript);
}

namespace detail {

ReportData report_data(const StudyView& study, const std::vector<std::string>& objectives) {
  ReportData data{study, {}, {}, importances(study), nullptr, tried_again(study.trials)};
  const size_t count = study.directions.size();
  for (size_t i = 0; i < count; ++i) {
    data.objectives.push_back(i < objectives.size() ? objectives[i]
                              : count == 1          ? "value"
                                                    : fmt::format("value {}", i + 1));
  }
  std::vector<TrialPtr> trials = ranked_trials(study);
  std::erase_if(trials, [](const TrialPtr& trial) {
    return !std::all_of(trial->values.begin(), trial->values.end(),
                        [](double value) { return std::isfinite(value); });
  });
  for (const size_t i : sorted_order(trials.size(), [&](size_t a, size_t b) {
         return loss(trials[a]->values[0], study.directions[0]) <
                loss(trials[b]->values[0], study.directions[0]);
       })) {
    data.ranked.push_back(trials[i]);
  }
  if (!data.ranked.empty()) data.best = data.ranked.front();
  return data;
}

std::vector<size_t> spread(size_t n, size_t most, size_t keep) {
  std::vector<size_t> places;
  for (size_t i = 0; i < std::min(n, most); ++i) {
    const bool kept = n <= most || i < keep;
    places.push_back(kept ? i : keep + (i - keep) * (n - keep - 1) / (most - keep - 1));
  }
  return places;
}

std::string sampled_note(size_t drawn, size_t of) {
  if (drawn >= of) return "";
  return fmt::format("{} of {} drawn", view::format_number(static_cast<double>(drawn)),
                     view::format_number(static_cast<double>(of)));
}

std::string trial_title(const Trial& trial, const ReportData& data, bool params) {
  std::string text = fmt::format("trial {}", trial.number);
  for (size_t i = 0; i < std::min(trial.values.size(), data.objectives.size()); ++i) {
    text += fmt::format("{}{} {}", i ? ", " : ": ", data.objectives[i],
                        view::format_number(trial.values[i]));
  }
  for (const Param& param : params ? trial.params : std::vector<Param>{}) {
    text += fmt::format("\n{} {}", param.name, value_text(param.distribution, param.value));
  }
  return text;
}

}  // namespace detail
}  // namespace hone::tune
