/// A linear layer that can carry a low-rank adapter.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

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

/// y = x W^T + b, and + s dropout(x) A^T B^T where it has an adapter.
///
/// DoRA: y = m/c (x W^T + s x A^T B^T) + b with c the row norms of W + s B A, without gradient;
///   with dropout, y = x W^T + b + ((m/c - 1) d W^T + m/c s d A^T B^T), d = dropout(x), as PEFT's.
/// Shapes: x [T, in] -> [T, out]; weight [out, in], bias [out]; lora_A [rank, in],
///   lora_B [out, rank], lora_magnitude_vector [out]. Parameters are uninitialised memory.
/// Gradient: to x and to those parameters that require it; add_lora() freezes weight and bias.
/// Parity: PEFT's Linear layer, dropout off (tests/parity/lora.py).
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(const LinearOptions& options, const at::TensorOptions& tensor_options);

  at::Tensor forward(const at::Tensor& x);

  /// Freezes the layer and gives it an adapter that changes nothing yet: A uniform in
  /// +-1/sqrt(in) from `generator` (a CPU's, so that every device begins equal), B zero, magnitude
  /// the row norms of W. PEFT's default initialisation.
  /// Throws: hone::Error if it has one.
  void add_lora(const LoraSpec& spec, at::Generator generator);
  bool has_lora() const { return lora_A.defined(); }
  const LoraSpec& lora() const { return lora_; }

  /// W with its adapter worked in, computed in float32 and rounded once to W's dtype. Detached.
  at::Tensor merged_weight() const;
  /// Replaces W by merged_weight() and drops the adapter; the layer trains in full again.
  void merge_lora();
  /// Drops the adapter and leaves W as it is; the layer trains in full again.
  void drop_lora();

  LinearOptions options;
  at::Tensor weight, bias;
  at::Tensor lora_A, lora_B, lora_magnitude_vector;

 private:
  at::Tensor row_norms() const;

  LoraSpec lora_;
};
TORCH_MODULE(Linear);

}  // namespace hone::nn
