/// Switches on the units of a layer, which also measure what each unit is worth.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/names.h"

namespace hone::nn {

/// What a unit is worth, from one backward pass (a batch); x is the unit's output with its gate on
/// and g = dL/dgate = sum over positions and width of dL/dy * x.
enum class Importance {
  kGateGradient,  ///< |g| (Michel et al. 2019, eq. 2, the batch as the sample)
  kTaylor,        ///< g^2 (Molchanov et al. 2019, eq. 8, of a gate that is 1)
  kOutputNorm     ///< mean over positions of the L2 norm of x
};

/// All that a resumed run needs to go on as if it had not stopped.
struct GateState {
  std::vector<bool> mask;
  std::vector<double> sums;  ///< [U], of the batches' importances
  int64_t batches = 0;
};

/// Multiplies each of U units by 0 or 1, and sums their importance in the backward pass.
///
/// Shapes: x [T, U, E], or [T, U] of units one wide -> the same. With all units on and nothing
///   measured the result is x itself; measuring changes neither the result nor a gradient by a bit.
/// Measured where grad mode and training mode are on: once a backward pass, also under
///   nn::checkpoint and where nothing below x trains, and also of units that are off, on their
///   output before the gate. A batch with a value that is not finite does not count. A rank of
///   several sees its own batches.
/// State: the mask, a buffer "mask" that is no part of a checkpoint's tensors. Change it between
///   steps only: a checkpointed block must compute the same twice.
/// Throws: c10::ValueError naming the shape.
class GateImpl : public torch::nn::Module {
 public:
  /// All on.
  explicit GateImpl(int64_t units);

  /// `off`, of x's shape: what a unit that is off gives instead of zeros. g is then the sum of
  /// dL/dy * (x - off), and the norm that of x - off.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& off = {});

  int64_t units() const { return static_cast<int64_t>(on_.size()); }
  /// Units that are on.
  int64_t alive() const;
  const std::vector<bool>& mask() const { return on_; }  ///< true: on
  /// [U] bool, of the units that are off; undefined where all are on.
  at::Tensor off() const;
  void set_mask(std::vector<bool> on);

  /// Begins to measure, or stops; forgets what was measured by another kind.
  void measure(std::optional<Importance> kind);
  std::optional<Importance> measured() const;
  /// Whether a pass that begins now is measured.
  bool measuring() const;
  /// Backward passes that count since the last reset.
  int64_t batches() const;
  /// [U], their mean. Throws: hone::Error if there was none.
  std::vector<double> importance() const;
  void reset_importance();

  GateState state() const;
  void restore(const GateState& state);

  /// Keeps only these units, with their mask and what was measured of them.
  void keep_units(const std::vector<int64_t>& keep);

 private:
  struct Tally;
  class Function;

  std::vector<bool> on_;
  at::Tensor mask_;  // [U] bool: on_ where the tensors are
  at::Tensor anchor_;
  std::shared_ptr<Tally> tally_;
};
TORCH_MODULE(Gate);

/// Registers a gate of `units` under that name of a module whose member `gate` is null; else does
/// nothing.
void add_gate(torch::nn::Module& module, Gate& gate, int64_t units,
              const std::string& name = "gate");

}  // namespace hone::nn

template <>
struct hone::EnumNames<hone::nn::Importance> {
  static constexpr std::pair<nn::Importance, const char*> values[] = {
      {nn::Importance::kGateGradient, "gate_gradient"},
      {nn::Importance::kTaylor, "taylor"},
      {nn::Importance::kOutputNorm, "output_norm"}};
};
