/// How many steps a run's epochs are.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hone/data/loader.h"
#include "hone/paths/domain_config.h"
#include "hone/paths/tokenizer_files.h"

namespace hone::paths {

/// The loader of a run over its training sets, with the augmentation of the recipe.
std::unique_ptr<data::Loader> make_loader(const DomainConfig& config, const RunTokenizer& tokenizer,
                                          const std::vector<data::DatasetPtr>& train);

/// Steps of the main phase: train.steps, or where train.epochs is given as many as the loader takes
/// for so many passes over the text (data::Loader::count_batches), rounded up to whole steps of
/// `accumulation` batches; those of the embeddings' phase come before and do not count.
int64_t planned_steps(const DomainConfig& config, data::Loader& loader);

/// "2 epochs = 118 steps", once train.steps is planned.
std::string describe_epochs(const DomainConfig& config);

}  // namespace hone::paths
