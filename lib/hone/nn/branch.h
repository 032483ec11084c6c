/// What a decoder block is made of: norms, a branch that mixes positions, one that works on each.
///
/// A block, a decoder, its cache, pruning, export and cost know branches by these interfaces only:
/// another attention or MLP is another class of them.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hone/kernels/cached_attention.h"
#include "hone/kernels/sequences.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/gate.h"
#include "hone/nn/linear.h"

namespace hone::nn {

/// A training step, as far as what modules keep in memory depends on it.
struct StepShape {
  int64_t documents = 1;
  int64_t longest = 0;  ///< tokens of the longest document
  double padding = 1;   ///< positions that attention computes to a token
  bool half = false;    ///< half types, in which norms and activations do not run fused
  int64_t tokens = 0;   ///< of all documents

  /// `width` numbers a token where attention holds them.
  int64_t padded(int64_t width) const {
    return static_cast<int64_t>(padding * static_cast<double>(width));
  }
  /// `width` numbers a token and position of the longest document, of which one is held at a time.
  int64_t squares(double width) const {
    const auto length = static_cast<double>(longest);
    return std::llround(width * length * length / static_cast<double>(std::max(tokens, longest)));
  }
};

/// What a part of a block holds in a training step, in numbers.
struct Footprint {
  int64_t saved = 0;      ///< a token: from the forward for the backward pass
  int64_t always = 0;     ///< of these, those that recomputation keeps too
  int64_t backward = 0;   ///< a token: more than saved, while its gradients are made
  int64_t forward = 0;    ///< a token: more than saved, while it is computed, where that is much
  int64_t gradients = 0;  ///< of the parameters that train, not a token
};

/// The sizes of each tensor that a mixer keeps of a position: {{K, E}, {K, E}} of keys and values.
using CacheShape = std::vector<std::vector<int64_t>>;

/// What one layer keeps of the positions that came (model/kv_cache.h), written in place by a pass.
struct LayerCache {
  std::vector<at::Tensor> tensors;  ///< each [R, S, sizes...], as the mixer's cache_shape() has it
  kernels::CachePlaces places;
};

/// What all blocks of one forward pass share, but for the cache, which is a layer's own.
struct AttentionContext {
  kernels::Sequences segments;
  at::Tensor cos, sin;                ///< [T, E], of the activations' dtype
  const LayerCache* cache = nullptr;  ///< null: documents begin in this pass, and none is kept
  at::Tensor ids;                     ///< [T] int64, of the tokens
};

/// Holds any class of an interface, as LibTorch's holders hold one class: `Norm norm =
/// RmsNorm(...)`.
template <class Interface>
class HolderOf : public torch::nn::ModuleHolder<Interface> {
  using Base = torch::nn::ModuleHolder<Interface>;

 public:
  HolderOf(std::nullptr_t) : Base(nullptr) {}
  HolderOf(std::shared_ptr<Interface> module) : Base(std::move(module)) {}
  template <std::derived_from<Interface> Module>
  HolderOf(const torch::nn::ModuleHolder<Module>& module)
      : Base(std::shared_ptr<Interface>(module.ptr())) {}
};

using Cuttable = HolderOf<CuttableImpl>;

/// Where a branch's units lie in a layer of it.
struct UnitAxis {
  std::string name;         ///< of the layer in the branch
  Cuttable layer{nullptr};  ///< shared with the branch
  bool outputs = true;      ///< the units are its outputs; else its inputs
  int64_t width = 1;        ///< outputs or inputs of one unit
  bool groups = false;      ///< a unit here is one group of them (BranchImpl::groups)
};

/// A norm over the last dimension: x [..., D] -> the same.
class NormImpl : public torch::nn::Module {
 public:
  virtual at::Tensor forward(const at::Tensor& x) = 0;
  /// Numbers a token that a step keeps of an input of `width` a token, the input itself included.
  virtual int64_t saved(int64_t width, const StepShape& step) const = 0;
};
using Norm = HolderOf<NormImpl>;

/// A residual branch of a block. Its units, such as heads or channels, can be switched off by a
/// gate and cut.
class BranchImpl : public torch::nn::Module {
 public:
  virtual int64_t units() const = 0;
  /// [units()] the group of each unit, ascending, e.g. the key head of a query head; empty where
  /// units have no groups.
  virtual std::vector<int64_t> groups() const { return {}; }
  /// Where its units are, in the order in which a cut goes through them.
  virtual std::vector<UnitAxis> axes() const = 0;
  /// Cuts all units but these, ascending positions among the present ones, and groups of which no
  /// unit is left: rows and columns of the layers that axes() names (CuttableImpl).
  std::vector<Cut> cut_units(const std::vector<int64_t>& keep);
  /// Throws: c10::ValueError where the branch cannot do with these units alone, as cut_units() does
  /// then. Here: never.
  virtual void check_kept(const std::vector<int64_t>&) const {}
  /// Gives the units a gate, unless they have one.
  virtual void add_gate();

  virtual Footprint footprint(const StepShape& step) const = 0;
  /// Floating-point operations of a token's forward pass that sees `positions`: here 2 for each
  /// weight of its linear layers, adapters aside.
  virtual int64_t flops(int64_t positions) const;
  /// Numbers of its base tensors that do nothing for any one token. Here: none.
  virtual int64_t idle() const { return 0; }

  Gate gate{nullptr};  ///< null before add_gate()

 protected:
  /// Takes note that only these units, and their groups, are left of those before.
  virtual void units_cut(const std::vector<int64_t>& keep) = 0;
};

/// The branch that lets positions see each other. x [T, D] -> [T, D].
class MixerImpl : public BranchImpl {
 public:
  virtual at::Tensor forward(const at::Tensor& x, const AttentionContext& context) = 0;
  virtual CacheShape cache_shape() const = 0;

  /// Makes queries and keys with the projections of `other` from now on, which alone has them
  /// registered: they are counted, trained and saved once, by gradients of both. Its own are gone,
  /// and no heads of either can be cut then.
  /// Throws: hone::Error where a mixer cannot, as here; c10::ValueError for other sizes.
  virtual void share_projections(MixerImpl& other);
  /// The tensors of such projections, by the names that they would have as its own.
  virtual std::vector<ModuleTensor> borrowed() const { return {}; }
};
using Mixer = HolderOf<MixerImpl>;

/// The branch that works on each position alone. x [T, D], and the tokens' ids [T] int64, by which
/// some choose experts -> [T, D].
class FeedForwardImpl : public BranchImpl {
 public:
  virtual at::Tensor forward(const at::Tensor& x, const at::Tensor& ids) = 0;
  /// Whether its units are experts, of which each position takes some; else they are channels.
  virtual bool routes() const { return false; }
};
using FeedForward = HolderOf<FeedForwardImpl>;

}  // namespace hone::nn
