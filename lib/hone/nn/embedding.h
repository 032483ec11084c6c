/// A table of vectors, of which single rows can be trained while the rest is frozen.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "hone/kernels/sequences.h"
#include "hone/nn/anatomy.h"

namespace hone::nn {

/// Token embedding or output head: weight [V, D]. With trainable rows, row rows[i] is
/// trainable_rows[i] instead of weight's (PEFT's trainable token indices).
class EmbeddingImpl : public torch::nn::Module, public TellsTensors {
 public:
  EmbeddingImpl(int64_t rows, int64_t dim, const at::TensorOptions& tensor_options);

  std::vector<ModuleTensor> own_tensors() const override;

  /// Vectors [..., D] of ids [...] int64 in [0, V).
  at::Tensor forward(const at::Tensor& ids);
  /// Vectors [T, D] of documents laid end to end; in training mode with NEFTune's noise added:
  ///
  ///   x + u * alpha / sqrt(L * D)      u uniform in [-1, 1), L the length of the token's document
  ///
  /// u is drawn for every element from torch's generator of the device. Nothing is drawn or added
  /// in eval mode or with alpha 0. Gradients are those of x.
  /// Parity: one document a batch gives the numbers of transformers' and TRL's neftune hook
  ///   (tests/nn). Those take for L the padded length of the batch; here no batch is padded.
  /// Source: Jain et al., "NEFTune: Noisy Embeddings Improve Instruction Finetuning", 2023,
  ///   arXiv 2310.05914, algorithm 1.
  at::Tensor noisy(const at::Tensor& ids, const kernels::Sequences& segments);
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

  /// NEFTune's alpha from the next noisy() on; the paper tries 5, 10 and 15. 0 = no noise.
  /// Throws: hone::Error unless it is finite and at least 0.
  void set_noise(double alpha);
  double noise() const { return noise_; }

  at::Tensor weight;
  at::Tensor trainable_rows;  ///< [n, D]; undefined without

 private:
  std::vector<int64_t> rows_;
  at::Tensor row_index_;  // [n] int64, on weight's device
  at::Tensor slots_;      // [V] int64: the row's place in rows_, or -1
  double noise_ = 0;
};
TORCH_MODULE(Embedding);

}  // namespace hone::nn
