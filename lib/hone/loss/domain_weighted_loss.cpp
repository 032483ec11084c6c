#include "hone/loss/domain_weighted_loss.h"

#include <torch/nn/functional/loss.h>
#include <torch/types.h>

#include <cmath>

namespace hone::loss {
namespace {

at::Tensor checked_weights(const std::vector<double>& values) {
  TORCH_CHECK_VALUE(!values.empty(), "DomainWeightedLoss: weights must not be empty");
  for (size_t i = 0; i < values.size(); ++i) {
    TORCH_CHECK_VALUE(std::isfinite(values[i]) && values[i] >= 0, "DomainWeightedLoss: weights[", i,
                      "] must be finite and >= 0, got ", values[i]);
  }
  return torch::tensor(values, torch::kDouble);
}

at::ScalarType wide(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

DomainWeightedLossImpl::DomainWeightedLossImpl(DomainWeightedLossOptions options_)
    : options(std::move(options_)) {
  reset();
}

void DomainWeightedLossImpl::reset() {
  weights = register_buffer("weights", checked_weights(options.weights));
}

void DomainWeightedLossImpl::pretty_print(std::ostream& stream) const {
  stream << "hone::loss::DomainWeightedLoss(weights=" << options.weights
         << ", ignore_index=" << options.ignore_index << ")";
}

void DomainWeightedLossImpl::set_weights(const std::vector<double>& values) {
  TORCH_CHECK_VALUE(static_cast<int64_t>(values.size()) == weights.size(0),
                    "DomainWeightedLoss: set_weights needs ", weights.size(0), " values, got ",
                    values.size());
  weights.copy_(checked_weights(values));
}

at::Tensor DomainWeightedLossImpl::combine(const at::Tensor& targets, const at::Tensor& domain,
                                           const at::Tensor& token_weights,
                                           at::ScalarType dtype) const {
  TORCH_CHECK_VALUE(domain.sizes() == targets.sizes() && domain.scalar_type() == at::kLong,
                    "DomainWeightedLoss: domain must be int64 of targets' shape ", targets.sizes(),
                    ", got ", domain.scalar_type(), " ", domain.sizes());
  TORCH_CHECK_VALUE(!token_weights.defined() || token_weights.sizes() == targets.sizes(),
                    "DomainWeightedLoss: token_weights must have targets' shape ", targets.sizes(),
                    ", got ", token_weights.sizes());
  if (domain.numel() > 0) {
    const auto [low, high] = at::aminmax(domain);
    TORCH_CHECK_VALUE(low.item<int64_t>() >= 0 && high.item<int64_t>() < weights.size(0),
                      "DomainWeightedLoss: domain must be in [0, ", weights.size(0), "), got ",
                      low.item<int64_t>(), " to ", high.item<int64_t>());
  }
  at::Tensor combined = weights.index_select(0, domain.flatten()).to(dtype);
  if (token_weights.defined()) combined = combined * token_weights.flatten().to(dtype);
  return combined.masked_fill(targets.flatten().eq(options.ignore_index), 0);
}

LossSum DomainWeightedLossImpl::forward(const at::Tensor& logits, const at::Tensor& targets,
                                        const at::Tensor& domain, const at::Tensor& token_weights) {
  TORCH_CHECK_VALUE(
      logits.dim() >= 2 && logits.sizes().slice(0, logits.dim() - 1) == targets.sizes(),
      "DomainWeightedLoss: logits must be [..., V] over targets' shape ", targets.sizes(), ", got ",
      logits.sizes());
  const at::Tensor combined = combine(targets, domain, token_weights, wide(logits));
  const at::Tensor nll = torch::nn::functional::cross_entropy(
      logits.reshape({-1, logits.size(-1)}).to(wide(logits)), targets.flatten(),
      torch::nn::functional::CrossEntropyFuncOptions()
          .ignore_index(options.ignore_index)
          .reduction(torch::kNone));
  return {(combined * nll).sum(), combined.sum()};
}

LossSum DomainWeightedLossImpl::forward_linear(const at::Tensor& hidden,
                                               const at::Tensor& lm_weight,
                                               const at::Tensor& targets, const at::Tensor& domain,
                                               const at::Tensor& token_weights,
                                               const at::Tensor& token_nll,
                                               const kernels::SoftTargets* soft) {
  const at::Tensor combined = combine(targets, domain, token_weights, wide(hidden));
  const int64_t ignored = options.ignore_index;
  return {soft ? kernels::linear_distillation(hidden, lm_weight, targets, combined, *soft, ignored,
                                              0, token_nll)
               : kernels::linear_cross_entropy(hidden, lm_weight, targets, combined, ignored, 0,
                                               token_nll),
          combined.sum()};
}

}  // namespace hone::loss
