/// What training needs of an optimiser, whichever it is.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace hone::optim {

/// Sums of squares of one parameter around the last step, 0-dimensional float64 on its device.
struct UpdateSquares {
  at::Tensor update;   ///< of the change that the step made, before it was rounded
  at::Tensor weights;  ///< of the parameter before it
};

/// Steps named parameters by the gradients that they hold. The names are those of its state too.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  virtual void set_lr(double lr) = 0;
  virtual void set_weight_decay(double weight_decay) = 0;
  virtual double weight_decay() const = 0;

  virtual bool has(const std::string& name) const = 0;
  /// `parameter` takes the place of the one of that name: its slices `keep` (int64 indices) along
  /// `dim`. What is kept of it is sliced alike, so that the next step does to what is left what it
  /// would have done to it in the whole parameter.
  /// Throws: hone::Error for an unknown name; c10::ValueError for a parameter of another shape.
  virtual void cut(const std::string& name, const at::Tensor& parameter, int64_t dim,
                   const at::Tensor& keep) = 0;
  /// Forgets a parameter and its state. Throws: hone::Error for an unknown name.
  virtual void remove(const std::string& name) = 0;

  /// Has the next step multiply every gradient by `factor` and then, if max_norm > 0 and their
  /// global L2 norm is over it, by max_norm / (norm + 1e-6), as torch's clip_grad_norm_. The
  /// gradients themselves stay as they are. Returns the norm after `factor`, before clipping;
  /// after one that is not finite, call zero_grad() instead of step().
  virtual double scale_and_clip(double factor, double max_norm) = 0;
  /// One step. Parameters without a gradient, or that require none now, stay as they are and keep
  /// their state.
  virtual void step() = 0;
  /// What the last step did to the parameters that it stepped. Call it before anything else is
  /// changed.
  virtual std::map<std::string, UpdateSquares> last_update() const = 0;
  /// Drops the gradients and what scale_and_clip() set.
  virtual void zero_grad() = 0;

  /// The parameters that it steps, by name.
  virtual std::map<std::string, at::Tensor> parameters() const = 0;
  /// What it keeps of them, by "<kind>.<parameter name>"; shares their memory.
  virtual std::map<std::string, at::Tensor> state() const = 0;
  /// Copies such a state back. Throws: hone::Error naming a tensor that is missing or misshapen.
  virtual void load_state(const std::map<std::string, at::Tensor>& state) = 0;
};

}  // namespace hone::optim
