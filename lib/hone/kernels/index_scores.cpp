#include "hone/kernels/index_scores.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <limits>
#include <vector>

namespace hone::kernels {
namespace {

/// The products of one head with all positions, as they enter its relu: [L, P].
at::Tensor head_products(const at::Tensor& q, const at::Tensor& k, int64_t head) {
  return at::mm(q.select(1, head), k.t()).mul_(1 / std::sqrt(static_cast<double>(q.size(2))));
}

class IndexLoss : public torch::autograd::Function<IndexLoss> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q,
                            const at::Tensor& k, const at::Tensor& weights,
                            const at::Tensor& scores, const at::Tensor& target,
                            const at::Tensor& seen, bool needs_grad) {
    const at::Tensor unseen = seen.logical_not();
    at::Tensor grad =
        scores.masked_fill(unseen, -std::numeric_limits<double>::infinity()).log_softmax(1);
    const at::Tensor cross = target * grad.masked_fill(unseen, 0);
    const at::Tensor sum = at::xlogy(target, target).sub_(cross).sum(at::kDouble);
    if (needs_grad) {
      grad.exp_().sub_(target);  // d(sum) / d(scores)
      context->saved_data["grads"] = gradients(q, k, weights, grad);
    }
    return sum.to(scores.scalar_type());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list incoming) {
    const auto found = context->saved_data.find("grads");
    TORCH_CHECK(
        found != context->saved_data.end(),
        "index_loss: its gradient was handed out already; it can be run backward once only");
    std::vector<at::Tensor> grads = found->second.toTensorVector();
    context->saved_data.erase(found);
    for (at::Tensor& grad : grads) grad.mul_(incoming[0]);
    return {grads[0], grads[1], grads[2], {}, {}, {}, {}};
  }

 private:
  /// Of q, k and weights, by that of the scores [L, P].
  static std::vector<at::Tensor> gradients(const at::Tensor& q, const at::Tensor& k,
                                           const at::Tensor& weights, const at::Tensor& grad) {
    at::Tensor to_q = at::empty(q.sizes(), q.options()), to_k = at::zeros(k.sizes(), k.options());
    at::Tensor to_weights = at::empty(weights.sizes(), weights.options());
    const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
    for (int64_t h = 0; h < q.size(1); ++h) {
      at::Tensor head = head_products(q, k, h).relu_();
      to_weights.select(1, h).copy_((grad * head).sum(1));
      head.sign_().mul_(grad).mul_(weights.slice(1, h, h + 1) * scale);  // of the products
      to_q.select(1, h).copy_(at::mm(head, k));
      to_k.addmm_(head.t(), q.select(1, h));
    }
    return {to_q, to_k, to_weights};
  }
};

}  // namespace

at::Tensor index_scores(const at::Tensor& q, const at::Tensor& k, const at::Tensor& weights) {
  const at::NoGradGuard no_grad;
  at::Tensor scores = at::zeros({q.size(0), k.size(0)}, q.options());
  for (int64_t h = 0; h < q.size(1); ++h) {
    scores.add_(head_products(q, k, h).relu_().mul_(weights.slice(1, h, h + 1)));
  }
  return scores;
}

at::Tensor best_of_row(const at::Tensor& scores, int64_t chosen) {
  const at::Tensor least = std::get<0>(scores.topk(chosen, -1)).slice(1, chosen - 1);
  at::Tensor best = scores > least;
  const at::Tensor equal = scores == least;
  const at::Tensor left = chosen - best.sum(1, /*keepdim=*/true, at::kInt);
  return best.logical_or_(equal.cumsum(1, at::kInt).le(left).logical_and_(equal));
}

at::Tensor index_loss(const at::Tensor& q, const at::Tensor& k, const at::Tensor& weights,
                      const at::Tensor& scores, const at::Tensor& target, const at::Tensor& seen) {
  const int64_t queries = q.size(0), positions = k.size(0);
  TORCH_CHECK_VALUE(k.dim() == 2 && q.dim() == 3 && q.size(2) == k.size(1),
                    "index_loss: q must be [L, I, W] and k [P, W], got ", q.sizes(), " and ",
                    k.sizes());
  for (const at::Tensor& x : {scores, target, seen}) {
    TORCH_CHECK_VALUE(x.sizes() == at::IntArrayRef({queries, positions}),
                      "index_loss: scores, target and seen must be [L, P] = [", queries, ", ",
                      positions, "], got ", x.sizes());
  }
  return IndexLoss::apply(q, k, weights, scores, target, seen, torch::GradMode::is_enabled());
}

}  // namespace hone::kernels
