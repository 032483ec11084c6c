#include "hone/paths/static/presets.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "hone/core/error.h"
#include "hone/paths/static/config.h"
#include "hone/paths/static/feasibility.h"
#include "hone/run/base.h"
#include "hone/run/compute.h"
#include "hone/run/run.h"

namespace hone::paths {
namespace {

tune::ParameterOptions range(double low, double high, bool log) {
  return {.low = low, .high = high, .log = log};
}

tune::ParameterOptions learning_rate(const StaticConfig& config, const TrialForecast& base) {
  double rate = 0.003239 - 0.0001395 * std::log(static_cast<double>(base.parameters));
  if (config.base.model) rate /= 10;
  if (config.base.tuning == run::Tuning::kLora) rate *= 10;
  return range(rate / 10, rate * 10, true);
}

/// Powers of two that hold the longest document, are a small part of the text, and fit.
tune::ParameterOptions batch(const StaticConfig& config, run::Cache& cache) {
  const run::Plan plan = run::make_plan(config.base, &cache);
  int64_t longest = 2, tokens = 0;
  for (const data::DatasetPtr& set : plan.data.train) {
    tokens += set->counts.tokens;
    for (const data::Example& example : set->examples) {
      longest = std::max(longest, example.length());
    }
  }
  const double memory =
      trial_limits(config.budget).memory_share * static_cast<double>(plan.device_bytes);
  tune::ParameterOptions options{.type = tune::ParameterType::kCategorical};
  int64_t size = 2;
  while (size < longest) size *= 2;
  for (; size <= std::max(longest, tokens / 10); size *= 2) {
    run::Config larger = config.base;
    larger.data.tokens_per_batch = size;
    const auto peak = static_cast<double>(forecast(larger, cache).peak_bytes);
    if (!options.choices.empty() && peak > memory) break;
    options.choices.push_back(size);
  }
  if (options.choices.empty()) options.choices.push_back(config.base.data.tokens_per_batch);
  return options;
}

}  // namespace

void resolve_presets(StaticConfig& config, run::Cache& cache) {
  if (config.presets.empty()) return;
  const TrialForecast base = forecast(config.base, cache);
  std::vector<Problem> problems;
  for (size_t i = 0; i < config.presets.size(); ++i) {
    const size_t before = config.space.size();
    switch (config.presets[i]) {
      case Preset::kLearningRate:
        config.space.try_emplace("/train/lr", learning_rate(config, base));
        break;
      case Preset::kAdapter: {
        const auto most =
            static_cast<double>(std::clamp<int64_t>(base.decoder.hidden_size / 4, 4, 64));
        auto rank = range(4, most, true);
        rank.type = tune::ParameterType::kInt;
        config.space.try_emplace("/lora/rank", rank);
        config.space.try_emplace("/lora/dropout", range(0, 0.1, false));
        break;
      }
      case Preset::kBatch:
        config.space.try_emplace("/data/tokens_per_batch", batch(config, cache));
        break;
    }
    if (config.space.size() > before) continue;
    problems.push_back({"/presets/" + std::to_string(i),
                        "adds nothing: the space has its parameters already; remove it"});
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

std::string resolve_compute(StaticConfig& config, run::Cache& cache) {
  run::Config& base = config.base;
  if (base.device != machine::DeviceChoice::kCpu && machine::built_with_cuda()) return "";
  at::set_num_threads(1);
  const auto choice =
      run::choose_compute(base, run::base_config(base, cache.tokenizer(base).text), {});
  base.compute = choice.compute;
  return choice.text();
}

}  // namespace hone::paths
