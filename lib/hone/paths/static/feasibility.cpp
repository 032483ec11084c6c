#include "hone/paths/static/feasibility.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/io/run_folder.h"
#include "hone/model/cost.h"
#include "hone/paths/static/config.h"
#include "hone/paths/static/trial_config.h"
#include "hone/run/run.h"
#include "hone/view/format.h"

namespace hone::paths {
namespace {

/// Mean tokens of a document.
double mean_length(const std::vector<data::DatasetPtr>& sets) {
  double tokens = 0, documents = 0;
  for (const data::DatasetPtr& set : sets) {
    tokens += static_cast<double>(set->counts.tokens);
    documents += static_cast<double>(set->counts.documents);
  }
  return documents > 0 ? tokens / documents : 0;
}

double scored_tokens(const std::vector<data::DatasetPtr>& sets) {
  double tokens = 0;
  for (const data::DatasetPtr& set : sets) tokens += static_cast<double>(set->counts.tokens);
  return tokens;
}

double evaluations(const train::TrainOptions& options) {
  const int64_t every = options.eval_every;
  return 1 + (every > 0 ? static_cast<double>((options.steps - 1) / every) : 0);
}

std::string over(const char* what, const std::string& need, const std::string& limit) {
  return fmt::format("{} would be {}, over the limit of {}", what, need, limit);
}

/// Widths that tensor cores want in multiples of 8, as a complaint; "" if they are.
std::string odd_width(const model::DecoderConfig& c) {
  for (const auto& [name, width] : {std::pair{"hidden_size", c.hidden_size},
                                    {"intermediate_size", c.intermediate_size},
                                    {"head_dim", c.head_dim},
                                    {"vocab_size", c.vocab_size}}) {
    if (width % 8 != 0) {
      return fmt::format("{} {} is no multiple of 8, which the GPU's tensor cores need", name,
                         width);
    }
  }
  return "";
}

/// Hands on the trained model of a run that leaves nothing.
class Probe : public run::Part {
 public:
  explicit Probe(const Trained& trained) : trained_(trained) {}

  std::string name() const override { return "probe"; }
  bool keeps_checkpoints() const override { return false; }
  bool keeps_model() const override { return false; }
  void finished(model::Decoder& decoder, const run::RunTokenizer& tokenizer) override {
    trained_(decoder, tokenizer);
  }

 private:
  const Trained& trained_;
};

}  // namespace

TrialForecast forecast(const run::Config& config, run::Cache& cache) {
  const run::Plan plan = run::make_plan(config, &cache);
  const double tokens =
      static_cast<double>(config.data.tokens_per_batch * config.train.accumulation);
  train::TrainOptions options = config.train;
  options.steps = plan.steps;
  const double steps = static_cast<double>(plan.steps);
  const model::Cost cost(plan.decoder);
  const double training =
      cost.step_flops(tokens, mean_length(plan.data.train), config.tuning == run::Tuning::kLora,
                      config.memory.checkpoint_every);
  const double scoring =
      cost.scoring_flops(scored_tokens(plan.data.held_out), mean_length(plan.data.held_out));
  return {plan.decoder,
          plan.on_gpu,
          cost.parameters(),
          plan.process_bytes,
          plan.device_bytes,
          training * steps,
          training * steps + scoring * evaluations(options)};
}

double measure_seconds_per_flop(const run::Config& config, run::Cache& cache,
                                const Trained& trained) {
  constexpr int kSteps = 6;
  run::Config probe = config;
  probe.train.steps = kSteps;
  probe.train.epochs.reset();
  probe.train.eval_every = 0;
  probe.train.save_every = 0;
  probe.data.held_out.clear();
  probe.data.validation.reset();
  probe.guard = {};
  probe.prompts = {};
  const std::string folder =
      io::temporary_name((std::filesystem::temp_directory_path() / "hone-step").string());
  Probe part(trained);
  run::execute(probe, {.app = "hone-static", .out = folder, .judged = true, .cache = &cache},
               {&part});
  std::vector<double> seconds;
  std::ifstream metrics(folder + "/" + io::kMetricsFile);
  for (std::string line; std::getline(metrics, line);) {
    const Json row = Json::parse(line);
    if (!row.contains("tokens_per_second")) continue;
    seconds.push_back(row.at("tokens").get<double>() / row.at("tokens_per_second").get<double>());
  }
  if (!seconds.empty()) seconds.erase(seconds.begin());  // the first step warms up
  metrics.close();
  std::filesystem::remove_all(folder);
  if (seconds.empty()) throw Error("the base recipe's first steps failed; run it by hone-domain");
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  return seconds[seconds.size() / 2] * kSteps / forecast(probe, cache).training_flops;
}

TrialLimits trial_limits(const BudgetOptions& budget) {
  TrialLimits limits{.memory_share = budget.memory_share / static_cast<double>(budget.workers)};
  if (budget.trial_hours > 0) limits.seconds = budget.trial_hours * 3600;
  if (budget.max_parameters > 0) limits.max_parameters = budget.max_parameters;
  return limits;
}

tune::Feasibility FeasibilityJudge::judge(const std::vector<tune::Param>& params) const {
  tune::Feasibility result{.constraints = {0}};
  TrialForecast predicted;
  std::string odd;
  try {
    const run::Config config = trial_config(base_, params);
    predicted = forecast(config, cache_);
    if (predicted.on_gpu && config.architecture) odd = odd_width(predicted.decoder);
  } catch (const ConfigError& error) {
    result.constraints[0] = 1;
    result.reason = error.what();
    return result;
  }
  const auto reason = [&](const std::string& text) {
    if (result.reason.empty()) result.reason = text;
  };
  const auto limit = [&](double value, double most, const std::string& text) {
    result.constraints.push_back((value - most) / most);
    if (value > most) reason(text);
  };
  if (!odd.empty()) {
    result.constraints[0] = 1;
    reason(odd);
  }
  const double memory = limits_.memory_share * static_cast<double>(predicted.device_bytes);
  limit(static_cast<double>(predicted.peak_bytes), memory,
        over("peak memory", format_bytes(predicted.peak_bytes),
             format_bytes(static_cast<int64_t>(memory))));
  result.facts = {{kPredictedPeak, predicted.peak_bytes},
                  {kParameters, predicted.parameters},
                  {kFlops, predicted.training_flops}};
  const double seconds = predicted.total_flops * seconds_per_flop_;
  if (seconds > 0) result.facts[kPredictedSeconds] = seconds;
  if (limits_.seconds) {
    limit(
        seconds, *limits_.seconds,
        over("training", view::format_duration(seconds), view::format_duration(*limits_.seconds)));
  }
  if (limits_.max_parameters) {
    limit(static_cast<double>(predicted.parameters), static_cast<double>(*limits_.max_parameters),
          over("parameters", std::to_string(predicted.parameters),
               std::to_string(*limits_.max_parameters)));
  }
  return result;
}

}  // namespace hone::paths
