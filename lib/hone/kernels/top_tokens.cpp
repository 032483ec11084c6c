#include "hone/kernels/top_tokens.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <vector>

#include "hone/kernels/dispatch.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "hone/kernels/product.h"

// Legend of suffixes: n rows, k kept tokens, b buckets (k and perhaps the tail), v vocabulary.
namespace hone::kernels {
namespace {

/// Wide logits in which the kept tokens have no mass.
at::Tensor others(const at::Tensor& wide_nv, const at::Tensor& ids_nk) {
  return wide_nv.scatter(1, ids_nk, -std::numeric_limits<double>::infinity());
}

TopRows top_of(const at::Tensor& logits_nv, int64_t k) {
  const at::Tensor ln_p = at::log_softmax(logits_nv.to(wide_type(logits_nv)), -1);
  auto [log_probs_nk, ids_nk] = ln_p.topk(k, -1);
  return {{ids_nk, log_probs_nk, others(ln_p, ids_nk).logsumexp(1), logits_nv.size(1)},
          -(ln_p.exp() * ln_p).sum(1)};
}

void check(const at::Tensor& student, const TopTokens& teacher, const DivergenceOptions& options) {
  const at::Tensor& ids = teacher.ids;
  TORCH_CHECK_VALUE(
      student.dim() == 2 && ids.dim() == 2 && ids.size(0) == student.size(0) &&
          ids.scalar_type() == at::kLong && ids.size(1) >= 1 && ids.size(1) <= teacher.vocabulary,
      "top_divergence: ids must be int64 [n, k] with n = ", student.size(0), " and k in [1, ",
      teacher.vocabulary, "], got ", ids.scalar_type(), " ", ids.sizes());
  TORCH_CHECK_VALUE(teacher.log_probs.sizes() == ids.sizes() &&
                        teacher.log_tail.sizes() == ids.sizes().slice(0, 1) &&
                        teacher.log_probs.scalar_type() == wide_type(student) &&
                        teacher.log_tail.scalar_type() == wide_type(student),
                    "top_divergence: log_probs and log_tail must be ", wide_type(student), " ",
                    ids.sizes(), " and [n], got ", teacher.log_probs.scalar_type(), " ",
                    teacher.log_probs.sizes(), " and ", teacher.log_tail.scalar_type(), " ",
                    teacher.log_tail.sizes());
  TORCH_CHECK_VALUE(teacher.vocabulary <= student.size(1), "top_divergence: the teacher's rows ",
                    "have ", teacher.vocabulary, " tokens, the student's only ", student.size(1));
  TORCH_CHECK_VALUE(options.temperature == 1,
                    "top_divergence: temperature must be 1, since a row of kept tokens does not "
                    "say how the rest spreads at another, got ",
                    options.temperature);
}

/// top_divergence of a few rows, of which it makes wide copies.
at::Tensor of_rows(const at::Tensor& student_nv, const TopTokens& teacher,
                   const at::Tensor& factors, const DivergenceOptions& options,
                   at::Tensor gradient_nv) {
  const at::Tensor wide_nv = student_nv.to(wide_type(student_nv));
  const at::Tensor ln_sum = wide_nv.logsumexp(1, true);
  at::Tensor rest_nv = others(wide_nv, teacher.ids);
  at::Tensor ln_q_nb = wide_nv.gather(1, teacher.ids) - ln_sum, ln_p_nb = teacher.log_probs.clone();
  const int64_t k = ln_p_nb.size(1);
  const bool has_tail = k < teacher.vocabulary;
  const at::Tensor ln_rest = rest_nv.logsumexp(1, true);
  if (has_tail) {
    ln_q_nb = at::cat({ln_q_nb, ln_rest - ln_sum}, 1);
    ln_p_nb = at::cat({ln_p_nb, teacher.log_tail.unsqueeze(1)}, 1);
  }
  const at::Tensor values = divergence(ln_q_nb, ln_p_nb, factors, options);
  if (!factors.defined()) return values;
  const at::Tensor& slope_nb = ln_p_nb;  // which divergence() has replaced
  if (has_tail) rest_nv.sub_(ln_rest).exp_().mul_(slope_nb.slice(1, k));
  rest_nv.scatter_(1, teacher.ids, slope_nb.slice(1, 0, k));
  gradient_nv.copy_(rest_nv);
  return values;
}

}  // namespace

TopRows top_tokens(const at::Tensor& hidden, const at::Tensor& weight, int64_t k) {
  TORCH_CHECK_VALUE(k >= 1 && k <= weight.size(0), "top_tokens: k must be in [1, ", weight.size(0),
                    "], got ", k);
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> ids, log_probs, log_tail, entropy;
  const int64_t rows = hidden.size(0), most = wide_rows(weight.size(0));
  for (int64_t begin = 0; begin < rows; begin += most) {
    const at::Tensor part = hidden.slice(0, begin, std::min(rows, begin + most));
    const TopRows top = top_of(product(part, weight.t()), k);
    ids.push_back(top.top.ids);
    log_probs.push_back(top.top.log_probs);
    log_tail.push_back(top.top.log_tail);
    entropy.push_back(top.entropy);
  }
  return {{at::cat(ids), at::cat(log_probs), at::cat(log_tail), weight.size(0)}, at::cat(entropy)};
}

at::Tensor top_divergence(const at::Tensor& student, const TopTokens& teacher,
                          const at::Tensor& factors, const DivergenceOptions& options,
                          at::Tensor& gradient) {
  check(student, teacher, options);
  if (factors.defined()) {
    gradient = at::empty({student.size(0), teacher.vocabulary}, student.options());
  }
  const int64_t rows = student.size(0), most = wide_rows(teacher.vocabulary);
  std::vector<at::Tensor> values;
  for (int64_t begin = 0; begin < rows; begin += most) {
    const auto part = [&](const at::Tensor& x) {
      return x.defined() ? x.slice(0, begin, std::min(rows, begin + most)) : x;
    };
    values.push_back(of_rows(
        part(student).slice(1, 0, teacher.vocabulary),
        {part(teacher.ids), part(teacher.log_probs), part(teacher.log_tail), teacher.vocabulary},
        part(factors), options, factors.defined() ? part(gradient) : at::Tensor()));
  }
  return at::cat(values);
}

}  // namespace hone::kernels
