/// How far a decoder whose layers are rounded is from the same in float.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "hone/core/json.h"

namespace hone::model {

/// Compares rows of next tokens, p of the float decoder with q of the rounded one.
class RoundingQuality {
 public:
  /// Rows of the last hidden states of both [n, D], and the head that they share [V, D]. A chunk of
  /// rows of logits of both is in memory at a time.
  void add(const at::Tensor& exact, const at::Tensor& rounded, const at::Tensor& head);

  int64_t rows() const { return static_cast<int64_t>(divergences_.size()); }
  /// Mean of sum p ln(p / q), in nats; NaN of no rows.
  double mean_divergence() const;
  /// The divergence that 99 in 100 rows do not pass (nearest rank); NaN of no rows.
  double p99_divergence() const;
  /// Share of the rows whose likeliest token is the same; NaN of no rows.
  double agreement() const;
  /// All three, for reports.
  Json json() const;

 private:
  std::vector<double> divergences_;
  int64_t same_ = 0;
};

}  // namespace hone::model
