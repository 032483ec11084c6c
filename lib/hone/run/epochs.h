/// How many steps a run's epochs are.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hone/data/loader.h"
#include "hone/run/config.h"
#include "hone/run/tokenizer.h"

namespace hone::run {

/// The loader of a run over its training sets, with the augmentation of the recipe.
std::unique_ptr<data::Loader> make_loader(const Config& config, const RunTokenizer& tokenizer,
                                          const std::vector<data::DatasetPtr>& train);

/// Steps of the main phase: train.steps, or where train.epochs is given as many as the loader takes
/// for so many passes over the text (data::Loader::count_batches), rounded up to whole steps of
/// `accumulation` batches; those of the embeddings' phase come before and do not count.
int64_t planned_steps(const Config& config, data::Loader& loader);

/// "2 epochs = 118 steps", once train.steps is planned.
std::string describe_epochs(const Config& config);

}  // namespace hone::run
