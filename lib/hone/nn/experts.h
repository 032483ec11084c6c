/// The routed experts of a layer, which can carry low-rank adapters.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "hone/kernels/experts.h"
#include "hone/kernels/swiglu.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/linear.h"

namespace hone::nn {

struct ExpertsOptions {
  int64_t count = 0;                 ///< E
  int64_t dim = 0;                   ///< D
  int64_t hidden = 0;                ///< I, width of an expert
  double limit = kernels::kNoLimit;  ///< of what the activations take in (kernels/swiglu.h)
};

/// Gated MLPs whose weights are stacked as transformers has them: gate_up_proj [E, 2 I, D], the
/// gate's rows first, and down_proj [E, D, I].
///
/// Either may carry an adapter, W[e] + s B[e] A[e], as PEFT's target_parameters make it and in its
/// layout: lora_A [E r, in], row e r + i that of A[e]; lora_B [out, r E], column i E + e that of
/// B[e].
/// Parity: PEFT's ParamWrapper (tests/interop/model_lora.py).
class ExpertsImpl : public CuttableImpl {
 public:
  ExpertsImpl(const ExpertsOptions& options, const at::TensorOptions& tensor_options);

  /// kernels::mixed_experts, adapters included.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& weights,
                     const kernels::ExpertOrder& order) const;

  /// The adapters by PEFT's names: those of gate_up_proj below "base_layer." where down_proj has
  /// one too.
  std::vector<ModuleTensor> own_tensors() const override;
  /// Keeps these experts, with their adapters.
  std::vector<Cut> keep_rows(const at::Tensor& keep) override;

  /// The tensors that an adapter may be on, by their names.
  static const std::vector<std::string>& adaptable();
  /// Freezes `weight`, one of adaptable(), and gives it an adapter that changes nothing yet: A
  /// uniform in +-1/sqrt(in) from `generator`, B zero (LinearImpl::add_lora).
  /// Throws: hone::Error if it has one, and for DoRA and dropout, which PEFT refuses there.
  void add_lora(const std::string& weight, const LoraSpec& spec, at::Generator generator);
  /// Works the adapters into the weights, in float32, an expert at a time, and drops them.
  void merge_lora();
  /// Drops the adapters; the weights, as they are, train again.
  void drop_lora();

  ExpertsOptions options;
  at::Tensor gate_up_proj, down_proj;

 private:
  struct Stack {
    at::Tensor lora_A, lora_B;  // undefined without an adapter
    double scale = 1;
  };
  Stack gate_up_, down_;  // registered as <weight>_lora_A and <weight>_lora_B

  kernels::ExpertLora factors(const Stack& stack) const;
};
TORCH_MODULE(Experts);

}  // namespace hone::nn
