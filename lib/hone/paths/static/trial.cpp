#include "hone/paths/static/trial.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "hone/config/writer.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/machine/stop_signal.h"
#include "hone/tune/standard_error.h"

namespace hone::paths {
namespace {

/// Lets VmHWM begin anew, without what trials before have left, so that peak_resident_bytes() is
/// this trial's own. Linux only; where it is refused the peak is the process's.
void reset_peak() {
  machine::return_freed_memory();
  std::ofstream("/proc/self/clear_refs") << "5";
}

}  // namespace

TrialRunner::TrialRunner(const StaticConfig& config, run::Cache& cache)
    : config_(config), cache_(cache) {
  for (const eval::ObjectiveOptions& objective : config.objectives) {
    meters_.emplace_back(objective);
    saves_model_ = saves_model_ || objective.metric == eval::Metric::kCommand;
  }
}

TrialResult TrialRunner::run(const run::Config& config, const std::string& out,
                             const std::function<bool(int64_t, double)>& report) {
  run::Config trial = config;
  trial.train.save_every = 0;
  int64_t steps = trial.train.steps;
  const int64_t embedding_steps = trial.vocabulary.grows() ? trial.vocabulary.embedding_steps : 0;
  train::Evaluation last;
  measured_.clear();
  const auto evaluated = [&](const train::Evaluation& evaluation) {
    last = evaluation;
    const auto value = eval::evaluation_value(config_.objectives.front(), evaluation);
    if (!value) return true;
    const bool stop = report(evaluation.step, *value);
    return !stop || evaluation.step >= steps + embedding_steps;
  };
  const auto trained = [&](model::Decoder& decoder, const run::RunTokenizer& tokenizer) {
    for (size_t i = 0; i < meters_.size(); ++i) {
      const auto value = meters_[i].model_value({decoder, tokenizer.text});
      if (value) measured_[i] = *value;
    }
  };
  const auto planned = [&](int64_t count) { steps = count; };
  const run::TrialHooks hooks{cache_, evaluated, trained, saves_model_, planned};
  reset_peak();
  const run::Report done =
      run::execute(trial, {"hone-static", out, false, config::to_json(trial)}, &hooks);

  TrialResult result;
  const double seconds = done.json.at("seconds").get<double>();
  result.facts = {{kSeconds, seconds},
                  {kStepSeconds, seconds / static_cast<double>(steps)},
                  {kPeak, machine::peak_resident_bytes()}};
  switch (done.ending) {
    case train::Ending::kSignal:
      result.signal = done.signal;
      return result;
    case train::Ending::kDiverged:
      report(done.json.at("steps").get<int64_t>(), std::numeric_limits<double>::quiet_NaN());
      result.state = tune::TrialState::kPruned;
      return result;
    case train::Ending::kStopped:
      result.state = tune::TrialState::kPruned;
      result.guard_stopped = done.json.at("ending") != "pruned";
      return result;
    case train::Ending::kDone:
      break;
  }
  result.values = values(last, out, result.facts);
  if (Json errors = standard_errors(); !errors.empty()) {
    result.facts[tune::kStandardErrors] = std::move(errors);
  }
  if (saves_model_) std::filesystem::remove_all(out + "/model");
  if (result.values.size() < meters_.size()) {
    result.values.clear();
    result.signal = machine::StopSignal::received();
    return result;
  }
  result.state = tune::TrialState::kComplete;
  for (size_t i = 0; i < result.values.size(); ++i) {
    if (!std::isnan(result.values[i])) continue;
    const eval::ObjectiveOptions& options = config_.objectives[i];
    if (!eval::evaluation_value(options, last)) {
      throw Error("the objective " + enum_name(options.metric) + " is not a number");
    }
    result.state = tune::TrialState::kPruned;  // the last step diverged
  }
  if (result.state == tune::TrialState::kPruned) result.values.clear();
  return result;
}

Json TrialRunner::standard_errors() const {
  Json errors = Json::array();
  bool any = false;
  for (size_t i = 0; i < meters_.size(); ++i) {
    const auto measured = measured_.find(i);
    const bool known = measured != measured_.end() && measured->second.standard_error;
    errors.push_back(known ? Json(*measured->second.standard_error) : Json(nullptr));
    any = any || known;
  }
  return any ? errors : Json::array();
}

std::vector<double> TrialRunner::values(const train::Evaluation& last, const std::string& out,
                                        const tune::Attributes& facts) const {
  std::vector<double> all;
  for (size_t i = 0; i < meters_.size(); ++i) {
    const eval::ObjectiveOptions& options = meters_[i].options();
    if (const auto measured = measured_.find(i); measured != measured_.end()) {
      all.push_back(measured->second.value);
    } else if (options.metric == eval::Metric::kStepTime) {
      all.push_back(facts.at(kStepSeconds).get<double>());
    } else if (options.metric == eval::Metric::kCommand) {
      const auto value = meters_[i].command_value(
          out + "/model", [] { return machine::StopSignal::received() != 0; });
      if (!value) break;
      all.push_back(*value);
    } else {
      all.push_back(eval::evaluation_value(options, last).value());
    }
  }
  return all;
}

}  // namespace hone::paths
