/// AdamW over all parameters in one fused operation a group.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace hone::kernels {

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
};

/// AdamW (decoupled decay) by at::_fused_adamw_; equals torch.optim.AdamW.
///
/// Matrices and larger decay; vectors (norms, biases) do not. Parameters of half types have float32
/// masters, which are stepped and rounded back; moments are float32 then.
class FusedAdamW {
 public:
  /// Named parameters that require gradients, of one device. Names are those of the state.
  FusedAdamW(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
             const AdamWOptions& options);

  void set_lr(double lr) { options_.lr = lr; }

  /// Multiplies every gradient by `factor` and then, if max_norm > 0 and their global L2 norm is
  /// over it, by max_norm / (norm + 1e-6), as torch's clip_grad_norm_. Returns the norm after
  /// `factor`, before clipping. A norm that is not finite leaves the gradients useless.
  double scale_and_clip(double factor, double max_norm);

  /// One step; parameters without a gradient stay as they are.
  void step();
  void zero_grad();

  /// Moments, step counts and masters by "<kind>.<parameter name>"; shares their memory.
  std::map<std::string, at::Tensor> state() const;
  /// Copies such a state back. Throws: hone::Error naming a tensor that is missing or misshapen.
  void load_state(const std::map<std::string, at::Tensor>& state);

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter, master, moment1, moment2, steps;  // master: the parameter itself for fp32
    bool decays = false;
  };
  std::vector<Slot> slots_;
  AdamWOptions options_;
};

}  // namespace hone::kernels
