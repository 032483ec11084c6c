#include "hone/model/rounding_quality.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "hone/kernels/linear_cross_entropy.h"

namespace hone::model {

void RoundingQuality::add(const at::Tensor& exact, const at::Tensor& rounded,
                          const at::Tensor& head) {
  const at::NoGradGuard no_grad;
  const int64_t rows = exact.size(0), most = kernels::wide_rows(head.size(0));
  for (int64_t begin = 0; begin < rows; begin += most) {
    const int64_t end = std::min(begin + most, rows);
    const auto log_rows = [&](const at::Tensor& hidden) {
      return at::log_softmax(at::mm(hidden.slice(0, begin, end), head.t()), 1, at::kDouble);
    };
    const at::Tensor p = log_rows(exact), q = log_rows(rounded);
    same_ += p.argmax(1).eq(q.argmax(1)).sum().item<int64_t>();
    const at::Tensor divergence = (p.exp() * (p - q)).sum(1).cpu();
    const double* const first = divergence.data_ptr<double>();
    divergences_.insert(divergences_.end(), first, first + divergence.numel());
  }
}

double RoundingQuality::mean_divergence() const {
  if (divergences_.empty()) return std::nan("");
  return std::accumulate(divergences_.begin(), divergences_.end(), 0.0) /
         static_cast<double>(rows());
}

double RoundingQuality::p99_divergence() const {
  if (divergences_.empty()) return std::nan("");
  std::vector<double> sorted = divergences_;
  const auto rank = static_cast<int64_t>(std::ceil(0.99 * static_cast<double>(rows()))) - 1;
  std::nth_element(sorted.begin(), sorted.begin() + rank, sorted.end());
  return sorted[rank];
}

double RoundingQuality::agreement() const {
  if (divergences_.empty()) return std::nan("");
  return static_cast<double>(same_) / static_cast<double>(rows());
}

Json RoundingQuality::json() const {
  return {{"tokens", rows()},
          {"divergence", mean_divergence()},
          {"divergence_p99", p99_divergence()},
          {"same_top_token", agreement()}};
}

}  // namespace hone::model
