#include "hone/run/optimizer.h"

#include "hone/optim/adamw.h"

namespace hone::run {

std::unique_ptr<optim::Optimizer> make_optimizer(const train::TrainOptions& options,
                                                 const model::NamedTensors& parameters) {
  return std::make_unique<optim::FusedAdamW>(
      parameters, optim::AdamWOptions{.lr = options.lr,
                                      .beta1 = options.beta1,
                                      .beta2 = options.beta2,
                                      .eps = options.eps,
                                      .weight_decay = options.weight_decay});
}

void follow(optim::Optimizer& optimizer, const model::CutResult& result) {
  for (const nn::Cut& cut : result.cuts) {
    if (!optimizer.has(cut.parameter)) continue;
    optimizer.cut(cut.parameter, result.parameters.at(cut.parameter), cut.dim, cut.keep);
  }
  for (const std::string& name : result.removed) {
    if (optimizer.has(name)) optimizer.remove(name);
  }
}

}  // namespace hone::run
