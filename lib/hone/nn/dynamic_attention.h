/// Self-attention that measures its heads and prunes them, for any LibTorch model.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "hone/nn/attention.h"
#include "hone/nn/pruning.h"
#include "hone/nn/rotary.h"

namespace hone::nn {

struct DynamicAttentionOptions {
  int64_t dim = 0;           ///< D
  int64_t num_heads = 0;     ///< H
  int64_t num_kv_heads = 0;  ///< K, divides H; 0: H
  int64_t head_dim = 0;      ///< E; 0: D / H
  bool bias = false;         ///< of all four projections
  bool causal = false;       ///< position t attends to s <= t
  bool rotary = false;       ///< rotate queries and keys by their positions, from 0
  double rope_theta = 10000;
  double dropout = 0;  ///< of the attention weights, in training mode
  PruneOptions prune;  ///< a share of this layer's heads; its scope and `normalise` change nothing
};

/// What a resumed run needs beside the parameters, once heads were cut as they were then.
struct DynamicAttentionState {
  int64_t step = 0, cut = 0;
  std::vector<int64_t> off_since;
  GateState gate;
};

/// o_proj(softmax(q k^T / sqrt(E)) v), whose heads are switched off by step() as `prune` says, and
/// removed by cut(). Begins with all heads on; input and output keep their width throughout.
///
/// Shapes: x [B, T, D]; mask [B, T, S = T] bool, true where position t of a row may attend to s,
///   together with `causal`; result [B, T, D]. A position that may attend to nothing gives o_proj's
///   bias. Parameters begin as torch::nn::Linear's do.
/// Parity: with all heads on and causal it is nn::Attention, to the bit, forward and backward.
/// Throws: c10::ValueError naming the argument, what was expected and what came; hone::Error if
///   `prune` asks for more heads than may go.
class DynamicAttentionImpl : public torch::nn::Module {
 public:
  explicit DynamicAttentionImpl(const DynamicAttentionOptions& options,
                                const at::TensorOptions& tensor_options = {});

  at::Tensor forward(const at::Tensor& x, const at::Tensor& mask = {});

  /// Call after each step of the optimiser, which trains on. Heads are measured until the schedule
  /// ends; those switched off may come back until then.
  void step();
  int64_t steps() const { return step_; }

  /// Removes the heads that are off for good. Parameters change: make a new optimiser, or cut the
  /// state of the old one as the result says.
  std::vector<Cut> cut();

  DynamicAttentionState state() const;
  void restore(const DynamicAttentionState& state);

  const DynamicAttentionOptions options;
  Attention attention{nullptr};  ///< its gate holds the heads' mask and importance

 private:
  PruneUnits units() const;  // without importance
  void measure();            // while the schedule runs

  std::optional<Rotary> rotary_;
  int64_t step_ = 0;
  int64_t cut_ = 0;                 // heads, or groups, cut so far
  std::vector<int64_t> off_since_;  // of the heads there are
};

/// The holder; spelt out, so that options can be written in place.
class DynamicAttention : public torch::nn::ModuleHolder<DynamicAttentionImpl> {
 public:
  using torch::nn::ModuleHolder<DynamicAttentionImpl>::ModuleHolder;
  using Impl = DynamicAttentionImpl;
  explicit DynamicAttention(const DynamicAttentionOptions& options,
                            const at::TensorOptions& tensor_options = {})
      : ModuleHolder(std::make_shared<Impl>(options, tensor_options)) {}
};

}  // namespace hone::nn
