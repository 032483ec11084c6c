/// A linear layer that can carry a low-rank adapter, and be rounded to integers.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hone/nn/anatomy.h"
#include "hone/nn/quantisation.h"

namespace hone::nn {

/// One layer's adapter; model/adapter.h makes it from LoraOptions.
struct LoraSpec {
  int64_t rank = 8;
  double scale = 1;    ///< s of y = W x + b + s B A dropout(x)
  double dropout = 0;  ///< on the adapter's input, in training mode
  bool dora = false;
};

struct LinearOptions {
  int64_t in = 0, out = 0;
  bool bias = false;
};

/// One parameter that lost rows or columns; an optimiser's state of its shape is cut alike.
struct Cut {
  std::string parameter;  ///< path within the module that was cut, e.g. "q_proj.weight"
  int64_t dim = 0;        ///< of the parameter
  at::Tensor keep;        ///< [kept] int64: where along `dim` what is left was
};

/// A layer that can lose outputs, and perhaps inputs, with the units of a branch.
class CuttableImpl : public torch::nn::Module, public TellsTensors {
 public:
  /// Keeps only these outputs, or inputs, of all its tensors: [kept] int64 indices. The parameters
  /// that change are new leaves that require gradients as the old did and have none.
  virtual std::vector<Cut> keep_rows(const at::Tensor& keep) = 0;
  /// Throws: hone::Error where a layer has no inputs that are units.
  virtual std::vector<Cut> keep_columns(const at::Tensor& keep);

 protected:
  /// A parameter's new tensor, in the module's table and in `member`.
  void replace(const std::string& name, at::Tensor& member, const at::Tensor& value);
  /// Cuts the parameter if the layer has it.
  void cut(const std::string& name, at::Tensor& member, int64_t dim, const at::Tensor& keep,
           std::vector<Cut>& cuts);
};

/// y = x W^T + b, and + s dropout(x) A^T B^T where it has an adapter.
///
/// DoRA: y = m/c (x W^T + s x A^T B^T) + b with c the row norms of W + s B A, without gradient;
///   with dropout, y = x W^T + b + ((m/c - 1) d W^T + m/c s d A^T B^T), d = dropout(x), as PEFT's.
/// Rounded (set_rounding): W and x are rounded in each forward pass, an adapter's change to W
///   together with W, and gradients go straight through (kernels::rounded_linear).
/// Quantised (quantise, hold_codes): integers are in W's place; an adapter's change is added in
///   float.
/// Shapes: x [T, in] -> [T, out]; weight [out, in], bias [out]; lora_A [rank, in],
///   lora_B [out, rank], lora_magnitude_vector [out]. Parameters are uninitialised memory.
/// Gradient: to x and to those parameters that require it; add_lora() freezes weight and bias.
/// Parity: PEFT's Linear layer, dropout off (tests/interop/model_lora.py).
class LinearImpl : public CuttableImpl {
 public:
  LinearImpl(const LinearOptions& options, const at::TensorOptions& tensor_options);

  /// `rounded`: x as the layer rounds it, where that was done already (forward_together).
  at::Tensor forward(const at::Tensor& x, const kernels::Int8Rows& rounded = {});

  std::vector<ModuleTensor> own_tensors() const override;

  /// Freezes the layer and gives it an adapter that changes nothing yet: A uniform in
  /// +-1/sqrt(in) from `generator` (a CPU's, so that every device begins equal), B zero, magnitude
  /// the row norms of W. PEFT's default initialisation.
  /// Without memory where the layer has none (the meta device). Throws: hone::Error if it has one.
  void add_lora(const LoraSpec& spec, at::Generator generator);
  bool has_lora() const { return lora_A.defined(); }
  const LoraSpec& lora() const { return lora_; }
  void set_lora_dropout(double dropout) { lora_.dropout = dropout; }

  /// W with its adapter worked in, computed in float32 and rounded once to W's dtype; to float32 of
  /// a quantised W. Detached.
  at::Tensor merged_weight() const;
  /// Replaces W by merged_weight() and drops the adapter; the layer trains in full again.
  void merge_lora();
  /// Drops the adapter and leaves W as it is; the layer trains in full again.
  void drop_lora();

  /// Rounds as `spec` says from now on; nothing for float again. The numbers stay.
  /// Throws: hone::Error for an adapter with dropout, which no rounded weight can have, and for a
  ///   layer that is quantised.
  void set_rounding(std::optional<QuantisationSpec> spec);
  const std::optional<QuantisationSpec>& rounding() const { return rounding_; }

  /// Replaces the weight by what rounds it; it trains no more. An adapter stays on it as it is.
  void quantise(const QuantisationSpec& spec);
  /// The same with uninitialised memory for codes and scales.
  void hold_codes(const QuantisationSpec& spec);
  /// Whether integers are in W's place: `weight` is then undefined, rounding() says how.
  bool is_quantised() const { return codes_.has_value(); }
  /// Throws: std::bad_optional_access if it is not.
  const kernels::QuantisedWeight& codes() const { return codes_.value(); }

  /// y is as before on the kept outputs, and for an x that was 0 in the inputs now gone. For this
  /// DoRA's magnitude is scaled as the row norms fall, so its gradient grows by as much.
  std::vector<Cut> keep_rows(const at::Tensor& keep) override;
  std::vector<Cut> keep_columns(const at::Tensor& keep) override;

  /// Whether a training step keeps the layer's input for its backward pass.
  bool keeps_input() const;
  /// Numbers a token that it keeps beside: of an adapter, its input as dropped included; its input
  /// as integers, where it is rounded.
  int64_t saved() const;

  LinearOptions options;
  std::function<void(const at::Tensor& x)> watch;  ///< sees each input; empty: nobody does
  at::Tensor weight, bias;
  at::Tensor lora_A, lora_B, lora_magnitude_vector;

 private:
  bool rounds() const { return rounding_ && !is_quantised(); }
  bool trains() const { return weight.requires_grad() || has_lora(); }
  at::Tensor row_norms() const;
  /// W as numbers of the layer's type.
  at::Tensor dense_weight() const;
  at::Tensor forward_base(const at::Tensor& x, const at::Tensor& bias,
                          const kernels::Int8Rows& rounded = {}) const;
  at::Tensor forward_rounded(const at::Tensor& x, const kernels::Int8Rows& rounded) const;
  void put_codes(const QuantisationSpec& spec, kernels::QuantisedWeight codes);
  void cut_codes(int64_t dim, const at::Tensor& keep);

  LoraSpec lora_;
  std::optional<QuantisationSpec> rounding_;
  std::optional<kernels::QuantisedWeight> codes_;
  at::TensorOptions numbers_;  // of the weight that codes_ took the place of
};
TORCH_MODULE(Linear);

/// What each of these layers makes of one input: to the bit as if called one by one, but what they
/// round of it is rounded once, and kept once for their backward passes.
std::vector<at::Tensor> forward_together(const std::vector<Linear>& layers, const at::Tensor& x);

/// Numbers a token that a training step keeps of such layers: the input once, if any of them keeps
/// it, and its integers once.
int64_t saved_together(const std::vector<Linear>& layers);

}  // namespace hone::nn
