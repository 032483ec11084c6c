/// A table of vectors, of which single rows can be trained while the rest is frozen.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

namespace hone::nn {

/// Token embedding or output head: weight [V, D]. With trainable rows, row rows[i] is
/// trainable_rows[i] instead of weight's (PEFT's trainable token indices).
class EmbeddingImpl : public torch::nn::Module {
 public:
  EmbeddingImpl(int64_t rows, int64_t dim, const at::TensorOptions& tensor_options);

  /// Vectors [..., D] of ids [...] int64 in [0, V).
  at::Tensor forward(const at::Tensor& ids);
  /// The whole table [V, D]: `weight` itself, or a copy with the trainable rows put in, through
  /// which gradients flow to them.
  at::Tensor table() const;

  /// Freezes weight and makes these rows trainable, from their present values.
  /// Throws: hone::Error if it has some already, or if a row repeats or is outside [0, V).
  void add_trainable_rows(std::vector<int64_t> rows);
  /// Writes the trainable rows into weight and drops them; weight trains in full again.
  void merge_trainable_rows();
  const std::vector<int64_t>& rows() const { return rows_; }

  /// Takes another table [V', D] as its weight.
  void replace_weight(const at::Tensor& table);

  at::Tensor weight;
  at::Tensor trainable_rows;  ///< [n, D]; undefined without

 private:
  std::vector<int64_t> rows_;
  at::Tensor row_index_;  // [n] int64, on weight's device
  at::Tensor slots_;      // [V] int64: the row's place in rows_, or -1
};
TORCH_MODULE(Embedding);

}  // namespace hone::nn
