#include "hone/run/epochs.h"

#include <fmt/format.h>

#include "hone/core/random.h"
#include "hone/data/augmentation.h"

namespace hone::run {

std::unique_ptr<data::Loader> make_loader(const Config& config, const RunTokenizer& tokenizer,
                                          const std::vector<data::DatasetPtr>& train) {
  std::shared_ptr<const data::Augmenter> augmenter;
  if (config.data.augmentation.any()) {
    augmenter = std::make_shared<data::Augmenter>(config.data.augmentation, tokenizer.text, train,
                                                  derive_seed(config.seed, "augment"));
  }
  return std::make_unique<data::Loader>(
      train,
      data::LoaderOptions{.tokens_per_batch = config.data.tokens_per_batch,
                          .temperature = config.data.temperature,
                          .seed = derive_seed(config.seed, "loader"),
                          .whole_passes = config.train.epochs.has_value()},
      augmenter);
}

int64_t planned_steps(const Config& config, data::Loader& loader) {
  if (!config.train.epochs) return config.train.steps;
  const int64_t before = config.vocabulary.embedding_steps * config.train.accumulation;
  const int64_t batches = loader.count_batches(*config.train.epochs, before);
  return (batches + config.train.accumulation - 1) / config.train.accumulation;
}

std::string describe_epochs(const Config& config) {
  return fmt::format("{:g} epoch{} = {} steps", *config.train.epochs,
                     *config.train.epochs == 1 ? "" : "s", config.train.steps);
}

}  // namespace hone::run
