#include "hone/kernels/linear_cross_entropy.h"

#include <torch/torch.h>

#include <algorithm>

namespace hone::kernels {
namespace {

void check(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
           const at::Tensor& token_weights) {
  TORCH_CHECK_VALUE(hidden.dim() == 2, "linear_cross_entropy: hidden must be [T, D], got ",
                    hidden.sizes());
  TORCH_CHECK_VALUE(weight.dim() == 2 && weight.size(1) == hidden.size(1) &&
                        weight.scalar_type() == hidden.scalar_type(),
                    "linear_cross_entropy: weight must be [V, D] with D = ", hidden.size(1),
                    " and of hidden's dtype, got ", weight.sizes(), " ", weight.scalar_type());
  TORCH_CHECK_VALUE(targets.dim() == 1 && targets.size(0) == hidden.size(0) &&
                        targets.scalar_type() == at::kLong,
                    "linear_cross_entropy: targets must be int64 [T] with T = ", hidden.size(0),
                    ", got ", targets.scalar_type(), " ", targets.sizes());
  TORCH_CHECK_VALUE(!token_weights.defined() || token_weights.sizes() == targets.sizes(),
                    "linear_cross_entropy: token_weights must be [T] = ", targets.sizes(), ", got ",
                    token_weights.sizes());
}

at::ScalarType wide(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

int64_t rows_per_chunk(const at::Tensor& weight, int64_t chunk_bytes) {
  const int64_t row = weight.size(0) * (wide(weight) == at::kDouble ? 8 : 4);
  return std::max<int64_t>(1, chunk_bytes / std::max<int64_t>(1, row));
}

/// Calls body(rows [n] of the kept positions, targets [n], logits [n, V] wide) for each chunk.
template <class Body>
void for_each_chunk(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                    int64_t ignore_index, int64_t chunk_bytes, Body body) {
  const at::Tensor kept = targets.ne(ignore_index).nonzero().flatten();
  for (const at::Tensor& rows : kept.split(rows_per_chunk(weight, chunk_bytes))) {
    if (rows.numel() == 0) continue;
    const at::Tensor input = hidden.index_select(0, rows);
    body(rows, input, targets.index_select(0, rows), at::mm(input, weight.t()).to(wide(hidden)));
  }
}

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& targets,
                            const at::Tensor& token_weights, int64_t ignore_index,
                            int64_t chunk_bytes) {
    const bool to_hidden = hidden.requires_grad(), to_weight = weight.requires_grad();
    const auto options = hidden.options().dtype(wide(hidden));
    at::Tensor sum = at::zeros({}, options.dtype(at::kDouble));
    at::Tensor grad_hidden, grad_weight;
    if (to_hidden) grad_hidden = at::zeros_like(hidden);
    if (to_weight) grad_weight = at::zeros_like(weight);
    for_each_chunk(
        hidden.detach(), weight.detach(), targets, ignore_index, chunk_bytes,
        [&](const at::Tensor& rows, const at::Tensor& input, const at::Tensor& wanted,
            at::Tensor logits) {
          const at::Tensor index = wanted.unsqueeze(1);
          const at::Tensor normaliser = logits.logsumexp(1, true);
          at::Tensor nll = (normaliser - logits.gather(1, index)).squeeze(1);
          at::Tensor factor;
          if (token_weights.defined()) {
            factor = token_weights.index_select(0, rows).to(options.dtype());
            nll = nll * factor;
          }
          sum += nll.sum(at::kDouble);
          if (!to_hidden && !to_weight) return;
          at::Tensor grad = logits.sub_(normaliser).exp_();
          grad.scatter_add_(1, index, at::full_like(index, -1, grad.options()));
          if (factor.defined()) grad.mul_(factor.unsqueeze(1));
          grad = grad.to(hidden.scalar_type());
          if (to_hidden) grad_hidden.index_copy_(0, rows, at::mm(grad, weight.detach()));
          if (to_weight) grad_weight.addmm_(grad.t(), input);
        });
    context->save_for_backward({grad_hidden, grad_weight});
    return sum.to(options.dtype());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto scaled = [&](const at::Tensor& grad) {
      return grad.defined() ? grad * grads[0].to(grad.scalar_type()) : grad;
    };
    return {scaled(saved[0]), scaled(saved[1]), {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& targets, const at::Tensor& token_weights,
                                int64_t ignore_index, int64_t chunk_bytes) {
  check(hidden, weight, targets, token_weights);
  return LinearCrossEntropy::apply(hidden, weight, targets, token_weights, ignore_index,
                                   chunk_bytes);
}

at::Tensor linear_nll(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                      int64_t ignore_index, int64_t chunk_bytes) {
  check(hidden, weight, targets, {});
  const torch::NoGradGuard no_grad;
  at::Tensor nll = at::zeros({hidden.size(0)}, hidden.options().dtype(wide(hidden)));
  for_each_chunk(hidden, weight, targets, ignore_index, chunk_bytes,
                 [&](const at::Tensor& rows, const at::Tensor&, const at::Tensor& wanted,
                     const at::Tensor& logits) {
                   const at::Tensor target = logits.gather(1, wanted.unsqueeze(1)).squeeze(1);
                   nll.index_copy_(0, rows, logits.logsumexp(1) - target);
                 });
  return nll;
}

}  // namespace hone::kernels
