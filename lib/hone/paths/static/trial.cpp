#include "hone/paths/static/trial.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <utility>

#include "hone/core/error.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/machine/stop_signal.h"
#include "hone/model/decoder.h"
#include "hone/run/cache.h"
#include "hone/run/run.h"
#include "hone/run/tokenizer.h"
#include "hone/tune/standard_error.h"

namespace hone::paths {
namespace {

/// A search's trial in its run: tells values, stops, and measures the trained model.
class Trial : public run::Part {
 public:
  Trial(const StaticConfig& config, const std::vector<eval::ObjectiveMeter>& meters,
        bool keeps_model, const TrialRunner::Tell& tell)
      : config_(config), meters_(meters), keeps_model_(keeps_model), tell_(tell) {}

  std::string name() const override { return "trial"; }
  bool keeps_checkpoints() const override { return false; }
  bool keeps_model() const override { return keeps_model_; }
  void open(run::ReadyRun& run) override { steps_ = run.config.train.steps; }
  std::string evaluated(const train::Evaluation& evaluation, bool last) override;
  void finished(model::Decoder& decoder, const run::RunTokenizer& tokenizer) override;

  /// Of the main phase, once the data have decided them; before that 0.
  int64_t steps() const { return steps_; }
  /// Whether the search stopped it.
  bool pruned() const { return pruned_; }
  /// Whether objective `i` is a value of the last evaluation.
  bool evaluates(size_t i) const {
    return eval::evaluation_value(config_.objectives[i], last_).has_value();
  }
  /// One an objective; fewer where a signal came while a command ran.
  std::vector<double> values(const std::string& out, const tune::Attributes& facts) const;
  /// One an objective, null where there is none; empty if none has one.
  Json standard_errors() const;

 private:
  const StaticConfig& config_;
  const std::vector<eval::ObjectiveMeter>& meters_;
  const bool keeps_model_;
  const TrialRunner::Tell& tell_;
  int64_t steps_ = 0;
  bool pruned_ = false;
  train::Evaluation last_;
  std::map<size_t, eval::Measurement> measured_;  // objectives of the model itself, by index
};

std::string Trial::evaluated(const train::Evaluation& evaluation, bool last) {
  last_ = evaluation;
  const auto value = eval::evaluation_value(config_.objectives.front(), evaluation);
  if (!value) return "";
  const bool stop = tell_(evaluation.step, *value);
  pruned_ = stop && !last;
  return pruned_ ? "pruned" : "";
}

void Trial::finished(model::Decoder& decoder, const run::RunTokenizer& tokenizer) {
  for (size_t i = 0; i < meters_.size(); ++i) {
    const auto value = meters_[i].model_value({decoder, tokenizer.text});
    if (value) measured_[i] = *value;
  }
}

Json Trial::standard_errors() const {
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

std::vector<double> Trial::values(const std::string& out, const tune::Attributes& facts) const {
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
      all.push_back(eval::evaluation_value(options, last_).value());
    }
  }
  return all;
}

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

TrialResult TrialRunner::run(const run::Config& config, const std::string& out, const Tell& tell) {
  run::Config recipe = config;
  recipe.train.save_every = 0;
  recipe.prompts = {};
  Trial trial(config_, meters_, saves_model_, tell);
  reset_peak();
  const run::Report done = run::execute(
      recipe, {.app = "hone-static", .out = out, .judged = true, .cache = &cache_}, {&trial});

  TrialResult result;
  const double seconds = done.json.at("seconds").get<double>();
  const int64_t steps = trial.steps() > 0 ? trial.steps() : recipe.train.steps;
  result.facts = {{kSeconds, seconds},
                  {kStepSeconds, seconds / static_cast<double>(steps)},
                  {kPeak, machine::peak_resident_bytes()}};
  switch (done.ending) {
    case train::Ending::kSignal:
      result.signal = done.exit_code - 128;
      return result;
    case train::Ending::kDiverged:
      tell(done.json.at("steps").get<int64_t>(), std::numeric_limits<double>::quiet_NaN());
      result.state = tune::TrialState::kPruned;
      return result;
    case train::Ending::kStopped:
      result.state = tune::TrialState::kPruned;
      result.guard_stopped = !trial.pruned();
      return result;
    case train::Ending::kDone:
      break;
  }
  result.values = trial.values(out, result.facts);
  if (Json errors = trial.standard_errors(); !errors.empty()) {
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
    if (!trial.evaluates(i)) {
      throw Error("the objective " + enum_name(config_.objectives[i].metric) + " is not a number");
    }
    result.state = tune::TrialState::kPruned;  // the last step diverged
  }
  if (result.state == tune::TrialState::kPruned) result.values.clear();
  return result;
}

}  // namespace hone::paths
