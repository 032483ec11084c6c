/// What a module tells of its tensors, so that nobody else tests their names.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hone::nn {

/// What a tensor is there for.
enum class Role {
  kBase,       ///< of the model itself: trained in full tuning (an indexer's only where it learns),
               ///< part of its checkpoint
  kAdapter,    ///< of an adapter on it: part of the adapter's files
  kQuantiser,  ///< a scale or range of fake quantisation: in neither of them
  kBuffer,     ///< part of the checkpoint, but never trained
  kCodes       ///< a quantised weight's integers or their scales: likewise, and copied as they are
};

/// One tensor of a module. Names are paths below the module that is asked.
struct ModuleTensor {
  std::string name;  ///< as checkpoints and PEFT's adapters spell it
  at::Tensor tensor;
  Role role = Role::kBase;
  std::string parameter = name;  ///< as named_parameters() spells it
  std::optional<double> start;   ///< the value that it begins with; absent: drawn at random
  int64_t choices = 0;           ///< of integers: the different ones of a row are in [0, choices)
  int64_t numbers = 0;           ///< of kCodes: how many numbers they say
  int64_t outputs = -1;          ///< of a linear layer's: the dimension of its outputs, -1 for none
  int64_t inputs = -1;           ///< and that of its inputs
};

/// A module whose own tensors are not just base parameters that begin at random.
class TellsTensors {
 public:
  virtual ~TellsTensors() = default;
  /// What the module holds itself, its children aside.
  virtual std::vector<ModuleTensor> own_tensors() const = 0;
};

/// The tensors of a module and its children, in the order of named_parameters(). Of modules that
/// are no TellsTensors they are the parameters, all base.
std::vector<ModuleTensor> tensors(const torch::nn::Module& module);

/// Numbers in the module's tensors of this role.
int64_t numel(const torch::nn::Module& module, Role role = Role::kBase);
/// Numbers of the model itself: in base tensors, and those that a quantised weight's codes say.
int64_t parameters(const torch::nn::Module& module);
/// Bytes of the tensors of this role.
int64_t bytes(const torch::nn::Module& module, Role role);
/// Numbers in those that require gradients.
int64_t trained_numel(const torch::nn::Module& module);

}  // namespace hone::nn
