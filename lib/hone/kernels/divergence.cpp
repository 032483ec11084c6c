#include "hone/kernels/divergence.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "hone/kernels/cpu/divergence.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/linear_cross_entropy.h"

// p, q, m: teacher, student, mixture.
namespace hone::kernels {
namespace {

void check(const at::Tensor& student, const at::Tensor& teacher, const at::Tensor& factors,
           const DivergenceOptions& o) {
  TORCH_CHECK_VALUE(student.dim() == 2 && teacher.dim() == 2 &&
                        student.size(0) == teacher.size(0) && student.size(1) >= teacher.size(1) &&
                        student.scalar_type() == teacher.scalar_type() && teacher.is_contiguous(),
                    "divergence: teacher must be contiguous logits [n, V] of student's dtype, with "
                    "V of at most ",
                    student.size(-1), ", got ", teacher.scalar_type(), " ", teacher.sizes());
  TORCH_CHECK_VALUE(!factors.defined() || factors.numel() == student.size(0),
                    "divergence: factors must be [n] = [", student.size(0), "], got ",
                    factors.sizes());
  TORCH_CHECK_VALUE(std::isfinite(o.temperature) && o.temperature > 0,
                    "divergence: temperature must be positive, got ", o.temperature);
  TORCH_CHECK_VALUE(o.kind != Divergence::kJsd || (o.beta > 0 && o.beta < 1),
                    "divergence: beta must lie between 0 and 1, got ", o.beta);
}

/// The result's factor.
double scale_of(const DivergenceOptions& o) {
  return o.squared ? o.temperature * o.temperature : 1;
}

/// By ATen's operations, of a few rows, of which they make wide copies.
at::Tensor divergence_wide(const at::Tensor& student, at::Tensor teacher, const at::Tensor& factors,
                           const DivergenceOptions& o) {
  const auto log_softmax = [&](const at::Tensor& x) {
    return at::log_softmax(x.slice(1, 0, teacher.size(1)).to(wide_type(x)) / o.temperature, -1);
  };
  const at::Tensor ln_q = log_softmax(student), ln_p = log_softmax(teacher), q = ln_q.exp();
  const at::Tensor p = ln_p.exp();
  at::Tensor value, slope;
  if (o.kind == Divergence::kForwardKl) {
    value = (p * (ln_p - ln_q)).sum(1);
    slope = q - p;
  } else {
    const at::Tensor against =
        o.kind == Divergence::kReverseKl
            ? ln_p
            : at::logaddexp(ln_p + std::log(o.beta), ln_q + std::log1p(-o.beta));
    const double share = o.kind == Divergence::kReverseKl ? 1 : 1 - o.beta;
    const at::Tensor of_q = (q * (ln_q - against)).sum(1);
    value = share * of_q;
    if (o.kind == Divergence::kJsd) value = value + o.beta * (p * (ln_p - against)).sum(1);
    slope = share * q * (ln_q - against - of_q.unsqueeze(1));
  }
  if (factors.defined()) {
    teacher.copy_(slope * (factors * (scale_of(o) / o.temperature)).unsqueeze(1));
  }
  return value * scale_of(o);
}

}  // namespace

at::Tensor divergence(const at::Tensor& student, at::Tensor& teacher, const at::Tensor& factors,
                      const DivergenceOptions& options) {
  check(student, teacher, factors, options);
  const int64_t rows = student.size(0);
  const auto loops = [&] {
    at::Tensor result = at::empty({rows}, student.options());
    AT_DISPATCH_FLOATING_TYPES(student.scalar_type(), "divergence", [&] {
      run_rows(
          DivergenceRows<scalar_t>{
              .width = teacher.size(1),
              .student_step = student.stride(0),
              .kind = static_cast<int>(options.kind),
              .beta = static_cast<scalar_t>(options.beta),
              .inverse_temperature = static_cast<scalar_t>(1 / options.temperature),
              .scale = static_cast<scalar_t>(scale_of(options)),
              .factors = factors.defined() ? read<scalar_t>(factors) : nullptr,
              .student = read<scalar_t>(student),
              .teacher = teacher.mutable_data_ptr<scalar_t>(),
              .result = result.mutable_data_ptr<scalar_t>()},
          rows, 1);
    });
    return result;
  };
  const auto composite = [&] {
    std::vector<at::Tensor> parts;
    const int64_t most = wide_rows(teacher.size(1));
    for (int64_t begin = 0; begin < rows; begin += most) {
      const int64_t end = std::min(rows, begin + most);
      parts.push_back(divergence_wide(student.slice(0, begin, end), teacher.slice(0, begin, end),
                                      factors.defined() ? factors.slice(0, begin, end) : factors,
                                      options));
    }
    return at::cat(parts);
  };
  return dispatch({student, teacher}, loops, composite);
}

}  // namespace hone::kernels
