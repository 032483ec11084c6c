/// Taking a stock optimiser of torch::optim over a cut.
///
///   const auto before = named_parameters(*attention);
///   const std::vector<Cut> cuts = attention->cut();
///   carry(optimizer, before, named_parameters(*attention), cuts);
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "hone/nn/linear.h"

namespace torch::nn {
class Module;
}
namespace torch::optim {
class Optimizer;
}

namespace hone::nn {

using NamedParameters = std::vector<std::pair<std::string, at::Tensor>>;

/// The module's parameters by the names that cuts use.
NamedParameters named_parameters(const torch::nn::Module& module);

/// Puts each parameter of `after` in the place of the one of that name in `before`, in its group,
/// and slices what the optimiser keeps of it as the cuts say: the next step does to what is kept
/// what it would have done to it in the whole parameter. Step counts and options stay. Parameters
/// that `after` has no more leave the optimiser, and those that it never had stay out. Call it
/// between steps; gradients that the old parameters hold are gone.
///
/// Adam, AdamW, SGD, RMSprop and Adagrad; of LBFGS, whose state is one vector over all parameters,
/// begin a new one.
/// Throws: hone::Error for LBFGS or an optimiser unknown here, or for cuts that do not give the
///   shape of the new parameter; nothing is changed then.
/// Parity: tests/nn/carry_optimizer_test.cpp, within rounding.
void carry(torch::optim::Optimizer& optimizer, const NamedParameters& before,
           const NamedParameters& after, const std::vector<Cut>& cuts);

}  // namespace hone::nn
