/// The optimiser of a run: how it is made, and how it goes on where its decoder is cut.
#pragma once
#include <memory>

#include "hone/model/pruned/pruning.h"
#include "hone/optim/optimizer.h"
#include "hone/train/options.h"

namespace hone::run {

/// AdamW over named parameters. Throws: as optim::FusedAdamW.
std::unique_ptr<optim::Optimizer> make_optimizer(const train::TrainOptions& options,
                                                 const model::NamedTensors& parameters);

/// Cuts what the optimiser keeps of the parameters that it has, as a decoder was cut.
void follow(optim::Optimizer& optimizer, const model::CutResult& result);

}  // namespace hone::run
