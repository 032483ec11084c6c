#include "hone/tune/report/live_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/utf8.h"
#include "hone/tune/pareto.h"
#include "hone/tune/report/detail/format.h"
#include "hone/tune/search.h"
#include "hone/tune/standard_error.h"
#include "hone/view/format.h"

namespace hone::tune {
namespace {

using detail::duration;

struct Counts {
  int64_t complete = 0, pruned = 0, failed = 0, interrupted = 0, refused = 0, running = 0,
          waiting = 0;
  int64_t ended() const { return complete + pruned; }
};

Counts count(const StudyView& study) {
  const auto again = tried_again(study.trials);
  std::map<std::string, int64_t> by;
  for (const TrialPtr& trial : study.trials) ++by[standing(*trial, again)];
  return {by["complete"], by["pruned"],  by["failed"], by["interrupted"],
          by["refused"],  by["running"], by["waiting"]};
}

/// Seconds until all have ended; nullopt while none has or where no end is known.
std::optional<double> time_left(const StudyView& study, Time now, const Counts& counts,
                                const LiveTableOptions& options) {
  double sum = 0;
  int64_t ended = 0;
  for (const TrialPtr& trial : study.trials) {
    const auto seconds = duration(*trial);
    if (!seconds || !detail::ran(*trial) || trial->state == TrialState::kFail) continue;
    sum += *seconds;
    ++ended;
  }
  const int64_t to_begin =
      options.trials ? std::max<int64_t>(0, *options.trials - counts.ended() - counts.running)
                     : counts.waiting;
  if (ended == 0 || (!options.trials && counts.waiting + counts.running == 0)) return std::nullopt;
  const double mean = sum / static_cast<double>(ended);
  double work = mean * static_cast<double>(to_begin);
  for (const TrialPtr& trial : study.trials) {
    if (trial->state != TrialState::kRunning) continue;
    work += std::max(0.0, mean - duration(*trial, now).value_or(0));
  }
  return work / static_cast<double>(std::max<int64_t>(1, options.workers));
}

/// Without anything that a terminal would obey: C0 and C1 controls.
std::string printable(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&text](size_t at) { return static_cast<unsigned char>(text[at]); };
    const bool c1 =
        byte(i) == 0xc2 && i + 1 < text.size() && byte(i + 1) >= 0x80 && byte(i + 1) < 0xa0;
    if (c1 || byte(i) < 0x20 || byte(i) == 0x7f) text.replace(i, c1 ? 2 : 1, "?");
  }
  return text;
}

/// "  /train/lr=0.001" of each parameter.
std::vector<std::string> params_texts(const Trial& trial) {
  std::vector<std::string> texts;
  for (const Param& param : trial.params) {
    texts.push_back(
        fmt::format("  {}={}", param.name, detail::value_text(param.distribution, param.value)));
  }
  return texts;
}

std::string values_text(const Trial& trial, const LiveTableOptions& options) {
  std::string text;
  for (size_t i = 0; i < trial.values.size(); ++i) {
    const std::string name =
        i < options.objectives.size() ? options.objectives[i] : std::string("value");
    text += fmt::format("{}{} {}", i ? ", " : "", name, value_with_error(trial, i));
  }
  return text;
}

/// On as many lines as its parameters need.
std::vector<std::string> best_lines(const StudyView& study, const LiveTableOptions& options) {
  const TrialPtr best = best_trial(study);
  if (!best) return {"best     none yet"};
  const std::string front =
      study.directions.size() > 1 ? fmt::format("front of {}; ", pareto_front(study).size()) : "";
  std::vector<std::string> lines = {
      fmt::format("best     {}trial {}  {}", front, best->number, values_text(*best, options))};
  for (const std::string& param : params_texts(*best)) {
    if (count_characters(lines.back()) + count_characters(param) > options.width) {
      lines.emplace_back("       ");
    }
    lines.back() += param;
  }
  return lines;
}

std::string running_line(const Trial& trial, Time now) {
  std::string last = "nothing reported yet";
  if (!trial.intermediate.empty()) {
    const auto& [step, value] = *trial.intermediate.rbegin();
    last = fmt::format("step {}  {}", step, view::format_number(value));
  }
  return fmt::format("running  trial {}  {}  for {}{}", trial.number, last,
                     view::format_duration(duration(trial, now).value_or(0)),
                     fmt::join(params_texts(trial), ""));
}

}  // namespace

std::string live_table(const StudyView& study, Time now, const LiveTableOptions& options) {
  const Counts counts = count(study);
  std::string table;
  const auto add = [&](std::string line) {
    table += shortened_to_columns(printable(std::move(line)), options.width) + "\n";
  };
  const auto left = time_left(study, now, counts, options);
  add(fmt::format("{}: {}{} trials ended{}", study.name, counts.ended(),
                  options.trials ? fmt::format(" of {}", *options.trials) : "",
                  left ? ", about " + view::format_duration(*left) + " left" : ""));
  add(fmt::format(
      "         {} complete, {} pruned, {} failed{}, {} refused, {} running, {} waiting",
      counts.complete, counts.pruned, counts.failed,
      counts.interrupted ? fmt::format(", {} interrupted", counts.interrupted) : "", counts.refused,
      counts.running, counts.waiting));
  for (std::string& line : best_lines(study, options)) add(std::move(line));
  size_t shown = 0;
  for (const TrialPtr& trial : study.trials) {
    if (trial->state != TrialState::kRunning || shown == options.max_running) continue;
    add(running_line(*trial, now));
    ++shown;
  }
  const size_t more = static_cast<size_t>(counts.running) - shown;
  if (more > 0) add(fmt::format("         and {} more", more));
  return table;
}

}  // namespace hone::tune
