/// What follows from the model and the machine, for recipes that do not give their own.
#pragma once
#include <string>
#include <utility>

#include "hone/core/names.h"
#include "hone/run/cache.h"

namespace hone::paths {

struct StaticConfig;

/// What a preset adds to the space.
///   learning_rate  /train/lr, a decade to either side of Kaplan et al. 2020's (D.6) rate for the
///                  model's size, 0.003239 - 0.0001395 ln N; a tenth of it for trained weights, and
///                  ten times that for an adapter (Schulman et al. 2025, "LoRA without regret")
///   adapter        /lora/rank 4 to a quarter of hidden_size, at most 64; /lora/dropout 0 to 0.1
///                  (ranges that Hu et al. 2021 and Dettmers et al. 2023 tried)
///   batch          /data/tokens_per_batch, in powers of two: from the longest training document to
///                  the largest that is predicted to fit a worker's memory, at most a tenth of the
///                  training text
enum class Preset { kLearningRate, kAdapter, kBatch };

/// Adds the parameters of config.presets to config.space; one that the space has stays as it is.
/// Throws: ConfigError where a preset does not suit the recipe.
void resolve_presets(StaticConfig& config, run::Cache& cache);

/// Decides what `auto` leaves open of base.compute, so that all trials compute alike, and says it:
/// by one thread's timing, as no more may run before workers are forked. With a build that could
/// use a GPU each trial decides, unless the device is cpu.
std::string resolve_compute(StaticConfig& config, run::Cache& cache);

}  // namespace hone::paths

template <>
struct hone::EnumNames<hone::paths::Preset> {
  static constexpr std::pair<paths::Preset, const char*> values[] = {
      {paths::Preset::kLearningRate, "learning_rate"},
      {paths::Preset::kAdapter, "adapter"},
      {paths::Preset::kBatch, "batch"}};
};
