#include "hone/kernels/linear_cross_entropy.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <vector>

#include "hone/kernels/cpu/linear_cross_entropy.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/product.h"

// Legend of suffixes: n positions of a chunk, d model width, v vocabulary.
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
  TORCH_CHECK_VALUE(
      targets.dim() == 1 && targets.size(0) == hidden.size(0) && targets.scalar_type() == at::kLong,
      "linear_cross_entropy: targets must be int64 [T] with T = ", hidden.size(0), ", got ",
      targets.scalar_type(), " ", targets.sizes());
  TORCH_CHECK_VALUE(!token_weights.defined() || token_weights.sizes() == targets.sizes(),
                    "linear_cross_entropy: token_weights must be [T] = ", targets.sizes(), ", got ",
                    token_weights.sizes());
}

/// Throws: c10::ValueError unless the teacher's rows are those of `hidden`.
void check_rows(const SoftTargets& soft, const at::Tensor& hidden) {
  const int64_t rows = hidden.size(0);
  if (soft.top) {
    TORCH_CHECK_VALUE(soft.top->ids.dim() == 2 && soft.top->ids.size(0) == rows,
                      "linear_distillation: the teacher's ids must be [T, k] with T = ", rows,
                      ", got ", soft.top->ids.sizes());
    return;
  }
  TORCH_CHECK_VALUE(soft.hidden.dim() == 2 && soft.hidden.size(0) == rows &&
                        soft.weight.dim() == 2 && soft.weight.size(1) == soft.hidden.size(1) &&
                        soft.hidden.scalar_type() == hidden.scalar_type() &&
                        soft.weight.scalar_type() == hidden.scalar_type(),
                    "linear_distillation: the teacher's hidden must be [T, D'] with T = ", rows,
                    " and its weight [V', D'], both ", hidden.scalar_type(), ", got ",
                    soft.hidden.scalar_type(), " ", soft.hidden.sizes(), " and ",
                    soft.weight.scalar_type(), " ", soft.weight.sizes());
}

/// Positions with a target, all of them checked to lie in [0, V).
at::Tensor kept_positions(const at::Tensor& targets, int64_t ignore_index, int64_t vocabulary) {
  const at::Tensor kept = targets.ne(ignore_index).nonzero().flatten();
  if (kept.numel() == 0) return kept;
  const auto [low, high] = at::aminmax(targets.index_select(0, kept));
  for (const at::Tensor& target : {low, high}) {
    const auto value = target.item<int64_t>();
    TORCH_CHECK_INDEX(value >= 0 && value < vocabulary,
                      "linear_cross_entropy: targets must be in [0, ", vocabulary,
                      ") or ignore_index ", ignore_index, ", got ", value);
  }
  return kept;
}

/// A chunk of positions that have a target.
struct Chunk {
  at::Tensor rows;  ///< [n] int64; undefined if they are the whole range from `begin`
  int64_t begin = 0;
  at::Tensor hidden_nd, logits_nv, targets_n;  ///< logits in hidden's dtype, to be overwritten
  at::Tensor pick(const at::Tensor& x) const {
    if (rows.defined()) return x.index_select(0, rows);
    return x.slice(0, begin, begin + targets_n.size(0));
  }
  void put(const at::Tensor& x, const at::Tensor& values_n) const {
    if (rows.defined()) {
      x.index_copy_(0, rows, values_n);
    } else {
      pick(x).copy_(values_n);
    }
  }
};

/// Calls body(chunk) for chunks of nearly equal size, all in one buffer of logits.
template <class Body>
void for_each_chunk(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                    int64_t ignore_index, int64_t rows_per_chunk, Body body) {
  const int64_t vocabulary = weight.size(0);
  const at::Tensor kept = kept_positions(targets, ignore_index, vocabulary);
  const int64_t count = kept.numel();
  if (count == 0) return;
  const int64_t most =
      rows_per_chunk > 0 ? rows_per_chunk : chunk_rows(vocabulary, weight.device());
  const int64_t chunks = (count + most - 1) / most, length = (count + chunks - 1) / chunks;
  const at::Tensor buffer = at::empty({std::min(length, count), vocabulary}, hidden.options());
  for (int64_t begin = 0; begin < count; begin += length) {
    const int64_t end = std::min(begin + length, count);
    Chunk chunk{.begin = begin, .targets_n = targets.slice(0, begin, end)};
    if (count < targets.size(0)) {
      chunk.rows = kept.slice(0, begin, end);
      chunk.targets_n = targets.index_select(0, chunk.rows);
    }
    chunk.hidden_nd = chunk.pick(hidden);
    chunk.logits_nv = buffer.slice(0, 0, end - begin);
    product_out(chunk.logits_nv, chunk.hidden_nd, weight.t());
    body(chunk);
  }
}

/// nll [n] of each row by ATen's operations, float32; with `factors_n` the logits become
/// d(sum factor * nll)/d(logits).
at::Tensor cross_entropy_wide(at::Tensor logits_nv, const at::Tensor& targets_n,
                              const at::Tensor& factors_n) {
  at::Tensor wide = logits_nv.to(wide_type(logits_nv));
  const at::Tensor index = targets_n.unsqueeze(1), normaliser = wide.logsumexp(1, true);
  const at::Tensor nll = (normaliser - wide.gather(1, index)).squeeze(1);
  if (factors_n.defined()) {
    wide.sub_(normaliser).exp_();
    wide.scatter_add_(1, index, at::full_like(index, -1, wide.options()));
    logits_nv.copy_(wide.mul_(factors_n.unsqueeze(1)));
  }
  return nll;
}

/// cross_entropy_wide of a few rows at a time, since it makes float32 copies of them.
at::Tensor cross_entropy_composite(at::Tensor& logits_nv, const at::Tensor& targets_n,
                                   const at::Tensor& factors_n) {
  const int64_t rows = logits_nv.size(0), most = wide_rows(logits_nv.size(1));
  const auto part = [&](const at::Tensor& x, int64_t begin) {
    return x.defined() ? x.slice(0, begin, std::min(rows, begin + most)) : x;
  };
  std::vector<at::Tensor> nll;
  for (int64_t begin = 0; begin < rows; begin += most) {
    nll.push_back(
        cross_entropy_wide(part(logits_nv, begin), part(targets_n, begin), part(factors_n, begin)));
  }
  return nll.size() == 1 ? nll[0] : at::cat(nll);
}

/// nll [n] of a chunk, wide; with `factors_n` the logits become their gradient.
at::Tensor cross_entropy(Chunk& chunk, const at::Tensor& factors_n) {
  at::Tensor& logits = chunk.logits_nv;
  const auto loops = [&] {
    const at::Tensor targets = chunk.targets_n.contiguous();
    at::Tensor nll = at::empty(targets.sizes(), logits.options());
    AT_DISPATCH_FLOATING_TYPES(logits.scalar_type(), "linear_cross_entropy", [&] {
      run_rows(CrossEntropyRows<scalar_t>{.width = logits.size(1),
                                          .targets = read<int64_t>(targets),
                                          .factors = factors_n.defined() ? read<scalar_t>(factors_n)
                                                                         : nullptr,
                                          .logits = logits.mutable_data_ptr<scalar_t>(),
                                          .nll = nll.mutable_data_ptr<scalar_t>()},
               logits.size(0), 1);
    });
    return nll;
  };
  return dispatch({logits}, loops,
                  [&] { return cross_entropy_composite(logits, chunk.targets_n, factors_n); });
}

/// The divergence's part in a chunk: its sum, times `factors_n`, and what is to be added to the
/// gradient of the logits, which this leaves as they are.
struct SoftPart {
  at::Tensor sum, grad_nv;
};

SoftPart soft_part(const Chunk& chunk, const SoftTargets& soft, const at::Tensor& factors_n,
                   bool needs_grad) {
  const at::Tensor factors = needs_grad ? factors_n : at::Tensor();
  if (soft.top) {
    const TopTokens top{chunk.pick(soft.top->ids), chunk.pick(soft.top->log_probs),
                        chunk.pick(soft.top->log_tail), soft.top->vocabulary};
    at::Tensor grad_nv;
    const at::Tensor values_n =
        top_divergence(chunk.logits_nv, top, factors, soft.options, grad_nv);
    if (soft.divergence.defined()) chunk.put(soft.divergence, values_n);
    return {(values_n * factors_n).sum(at::kDouble), grad_nv};
  }
  const int64_t width = std::min(soft.weight.size(0), chunk.logits_nv.size(1));
  at::Tensor teacher_nv = product(chunk.pick(soft.hidden), soft.weight.slice(0, 0, width).t());
  const at::Tensor values_n = divergence(chunk.logits_nv, teacher_nv, factors, soft.options);
  if (soft.divergence.defined()) chunk.put(soft.divergence, values_n);
  return {(values_n * factors_n).sum(at::kDouble), teacher_nv};
}

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& targets,
                            const std::optional<at::Tensor>& token_weights, int64_t ignore_index,
                            int64_t rows_per_chunk, const std::optional<at::Tensor>& token_nll,
                            const SoftTargets* soft, bool needs_grad) {
    const bool to_hidden = needs_grad && hidden.requires_grad();
    const bool to_weight = needs_grad && weight.requires_grad();
    const auto wide = hidden.options().dtype(wide_type(hidden));
    at::Tensor sum = at::zeros({}, wide.dtype(at::kDouble)), grad_hidden, grad_weight;
    if (to_hidden) grad_hidden = at::zeros(hidden.sizes(), hidden.options());
    for_each_chunk(hidden, weight, targets, ignore_index, rows_per_chunk, [&](Chunk& chunk) {
      at::Tensor factors = token_weights ? chunk.pick(*token_weights).to(wide.dtype()).contiguous()
                                         : at::ones(chunk.targets_n.sizes(), wide);
      SoftPart other;
      if (soft) {
        other = soft_part(chunk, *soft, factors * soft->share, to_hidden || to_weight);
        sum += other.sum;
        factors = factors * (1 - soft->share);  // which may share the caller's memory
      }
      const at::Tensor nll = cross_entropy(chunk, to_hidden || to_weight ? factors : at::Tensor());
      sum += (nll * factors).sum(at::kDouble);
      if (soft && (to_hidden || to_weight)) {
        chunk.logits_nv.slice(1, 0, other.grad_nv.size(1)).add_(other.grad_nv);
      }
      if (token_nll) chunk.put(*token_nll, nll);
      const at::Tensor& grad = chunk.logits_nv;
      if (to_hidden && chunk.rows.defined()) {
        grad_hidden.index_copy_(0, chunk.rows, product(grad, weight));
      } else if (to_hidden) {
        at::Tensor rows = chunk.pick(grad_hidden);
        product_out(rows, grad, weight);
      }
      if (to_weight && grad_weight.defined()) add_product(grad_weight, grad.t(), chunk.hidden_nd);
      if (to_weight && !grad_weight.defined()) grad_weight = product(grad.t(), chunk.hidden_nd);
    });
    if (to_weight && !grad_weight.defined())
      grad_weight = at::zeros(weight.sizes(), weight.options());
    // Not save_for_backward: the gradients leave by move, so that no copy of [V, D] is made.
    context->saved_data["grads"] = std::vector{grad_hidden, grad_weight};
    return sum.to(wide.dtype());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list incoming) {
    const auto found = context->saved_data.find("grads");
    TORCH_CHECK(found != context->saved_data.end(),
                "linear_cross_entropy: its gradient was handed out already; it can be run backward "
                "once only");
    std::vector<at::Tensor> grads = found->second.toTensorVector();
    context->saved_data.erase(found);
    // Usually 1, as sums are divided by the optimiser; asking a GPU would make the host wait.
    if (!incoming[0].is_cpu() || incoming[0].item<double>() != 1) {
      for (at::Tensor& grad : grads) {
        if (grad.defined()) grad.mul_(incoming[0]);
      }
    }
    return {std::move(grads[0]), std::move(grads[1]), {}, {}, {}, {}, {}, {}, {}};
  }
};

}  // namespace

int64_t chunk_rows(int64_t vocabulary, at::Device device) {
  constexpr int64_t kFewest = 256, kElsewhere = 2048;
  if (!device.is_cpu()) return kElsewhere;
  return std::max(kFewest,
                  kChunkBytes / (std::max<int64_t>(1, vocabulary) * int64_t{sizeof(float)}));
}

int64_t wide_rows(int64_t vocabulary) {
  return std::max<int64_t>(
      1, kChunkBytes / (std::max<int64_t>(1, vocabulary) * int64_t{sizeof(float)}));
}

namespace {

at::Tensor apply(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                 const at::Tensor& token_weights, const SoftTargets* soft, int64_t ignore_index,
                 int64_t rows_per_chunk, const at::Tensor& token_nll) {
  check(hidden, weight, targets, token_weights);
  TORCH_CHECK_VALUE(
      !token_nll.defined() ||
          (token_nll.sizes() == targets.sizes() && token_nll.scalar_type() == wide_type(hidden)),
      "linear_cross_entropy: token_nll must be ", wide_type(hidden), " [T] = ", targets.sizes(),
      ", got ", token_nll.scalar_type(), " ", token_nll.sizes());
  if (token_nll.defined()) token_nll.zero_();  // chunks hold no ignored targets
  const auto given = [](const at::Tensor& x) {
    return x.defined() ? std::optional(x) : std::nullopt;
  };
  return LinearCrossEntropy::apply(hidden, weight, targets, given(token_weights), ignore_index,
                                   rows_per_chunk, given(token_nll), soft,
                                   torch::GradMode::is_enabled());
}

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight,
                                const at::Tensor& targets, const at::Tensor& token_weights,
                                int64_t ignore_index, int64_t rows_per_chunk,
                                const at::Tensor& token_nll) {
  return apply(hidden, weight, targets, token_weights, nullptr, ignore_index, rows_per_chunk,
               token_nll);
}

at::Tensor linear_distillation(const at::Tensor& hidden, const at::Tensor& weight,
                               const at::Tensor& targets, const at::Tensor& token_weights,
                               const SoftTargets& soft, int64_t ignore_index,
                               int64_t rows_per_chunk, const at::Tensor& token_nll) {
  check_rows(soft, hidden);
  TORCH_CHECK_VALUE(soft.share >= 0 && soft.share <= 1,
                    "linear_distillation: share must lie between 0 and 1, got ", soft.share);
  if (soft.divergence.defined()) soft.divergence.zero_();
  return apply(hidden, weight, targets, token_weights, &soft, ignore_index, rows_per_chunk,
               token_nll);
}

at::Tensor linear_nll(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                      int64_t ignore_index, int64_t rows_per_chunk) {
  check(hidden, weight, targets, {});
  const torch::NoGradGuard no_grad;
  at::Tensor nll = at::zeros({hidden.size(0)}, hidden.options().dtype(wide_type(hidden)));
  for_each_chunk(hidden, weight, targets, ignore_index, rows_per_chunk,
                 [&](Chunk& chunk) { chunk.put(nll, cross_entropy(chunk, {})); });
  return nll;
}

}  // namespace hone::kernels
