/// AdamW over all parameters in one pass.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hone/optim/optimizer.h"

namespace hone::optim {

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
};

/// Most numbers that a step away from the CPU holds as float32 gradients at once: they are scaled
/// and, of half types, widened group by group, never all at a time.
constexpr int64_t kStepGroup = int64_t{1} << 24;

/// AdamW (decoupled decay); equals torch.optim.AdamW (tests/optim/adamw_test.cpp).
///
/// Matrices and larger decay; vectors (norms, biases) do not. Parameters of half types have float32
/// masters, which are stepped and rounded back; moments are float32 then.
/// On the CPU a step is one pass over parameters, gradients and moments, scaling and clipping
/// included; elsewhere at::_fused_adamw_ on groups of at most kStepGroup numbers.
class FusedAdamW : public Optimizer {
 public:
  /// Named parameters that require gradients, of one device. Names are those of the state.
  /// Throws: c10::ValueError naming a parameter whose memory has gaps or overlaps.
  FusedAdamW(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
             const AdamWOptions& options);

  void set_lr(double lr) override { options_.lr = lr; }
  void set_weight_decay(double weight_decay) override { options_.weight_decay = weight_decay; }
  double weight_decay() const override { return options_.weight_decay; }

  bool has(const std::string& name) const override;
  /// Moments and master are sliced, the step count stays.
  void cut(const std::string& name, const at::Tensor& parameter, int64_t dim,
           const at::Tensor& keep) override;
  void remove(const std::string& name) override;

  /// On the CPU the norm is the same for any number of threads.
  double scale_and_clip(double factor, double max_norm) override;
  void step() override;
  /// step() as devices other than the CPU do it, on any: in groups of at most `most` numbers.
  void step_by_groups(int64_t most = kStepGroup);
  /// Computed from the moments that the step left: no copy of the parameters is needed.
  std::map<std::string, UpdateSquares> last_update() const override;
  void zero_grad() override;

  std::map<std::string, at::Tensor> parameters() const override;
  /// Moments, step counts and masters.
  std::map<std::string, at::Tensor> state() const override;
  void load_state(const std::map<std::string, at::Tensor>& state) override;

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter, master, moment1, moment2, steps;  // master: the parameter itself for fp32
    bool decays = false;
    bool stepped = false;  // by the last step

    bool has_master() const { return master.scalar_type() != parameter.scalar_type(); }
    at::Tensor gradient() const;  ///< laid out as the parameter is; undefined if it does not step
  };
  struct Block;

  Slot& slot(const std::string& name);
  std::vector<Block> blocks(const std::vector<at::Tensor>& grads, int64_t most) const;
  std::vector<at::Tensor> begin_step();
  void step_on_cpu(const std::vector<at::Tensor>& grads);
  void step_group(const std::vector<Block>& group, const std::vector<at::Tensor>& grads,
                  bool decays);

  std::vector<Slot> slots_;
  AdamWOptions options_;
  double grad_factor_ = 1;
};

}  // namespace hone::optim
