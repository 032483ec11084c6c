#include "hone/tune/samplers/detail/parzen_estimator.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "hone/tune/samplers/detail/transform.h"
#include "hone/tune/samplers/detail/truncated_normal.h"

namespace hone::tune::detail {
namespace {

/// The distance of each observation to the farther of its neighbours in value. The least and the
/// greatest have the bounds as neighbours only while there is no other observation.
std::vector<double> gaps(const Observations& observations, double low, double high) {
  const auto& order = observations.ascending;
  const size_t n = order.size();
  std::vector<double> result(n);
  const auto at = [&](size_t rank) { return observations.values[order[rank]]; };
  for (size_t rank = 0; rank < n; ++rank) {
    const double before = at(rank) - (rank > 0 ? at(rank - 1) : low);
    const double after = (rank + 1 < n ? at(rank + 1) : high) - at(rank);
    result[order[rank]] = n == 1          ? std::max(before, after)
                          : rank == 0     ? after
                          : rank + 1 == n ? before
                                          : std::max(before, after);
  }
  return result;
}

/// The sum in NumPy's order. Between choices of equal merit rounding decides, so that Optuna's
/// decision needs Optuna's rounding.
double pairwise_sum(const double* x, size_t n) {
  if (n > 128) {
    const size_t half = n / 2 / 8 * 8;
    return pairwise_sum(x, half) + pairwise_sum(x + half, n - half);
  }
  if (n < 8) return std::accumulate(x, x + n, 0.0);
  double r[8];
  std::copy_n(x, 8, r);
  size_t i = 8;
  for (; i + 8 <= n; i += 8) {
    for (size_t k = 0; k < 8; ++k) r[k] += x[i + k];
  }
  const double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
  return std::accumulate(x + i, x + n, sum);
}

double pairwise_sum(const std::vector<double>& x) { return pairwise_sum(x.data(), x.size()); }

/// Its share of the sum is below 1e-20.
constexpr double kNegligible = -50;

/// Overwrites the values.
double log_sum_exp(std::vector<double>& values) {
  const double most = *std::max_element(values.begin(), values.end());
  if (std::isinf(most)) return most;
  for (double& value : values) {
    const double rest = value - most;
    value = rest > kNegligible ? std::exp(rest) : 0;
  }
  return std::log(pairwise_sum(values)) + most;
}

}  // namespace

std::vector<double> recency_weights(size_t n) {
  constexpr size_t kFull = 25;
  std::vector<double> weights(n, 1.0);
  if (n <= kFull) return weights;
  const size_t ramp = n - kFull;
  const double first = 1.0 / static_cast<double>(n);
  const double step = ramp > 1 ? (1 - first) / static_cast<double>(ramp - 1) : 0;
  for (size_t i = 0; i < ramp; ++i) weights[i] = static_cast<double>(i) * step + first;
  return weights;
}

ParzenEstimator::Kernels ParzenEstimator::categorical(const Observations& o, double prior_weight) {
  const size_t n = num_choices(o.distribution);
  Kernels k{o.distribution, n, false, 0, 0, 0};
  k.choice.assign(o.values.begin(), o.values.end());
  k.choice.push_back(static_cast<uint32_t>(n));  // the prior has hit none
  const double smoothing =
      o.values.empty() ? 1.0 : prior_weight / static_cast<double>(o.values.size() + 1);
  for (size_t c = 0; c <= n; ++c) {
    std::vector<double> row(n, smoothing);
    if (c < n) row[c] += 1;
    const double sum = pairwise_sum(row);
    k.miss.push_back(sum == 0 ? 0 : smoothing / sum);
    k.hit.push_back(c < n ? row[c] / sum : 0);
  }
  return k;
}

ParzenEstimator::Kernels ParzenEstimator::numeric(const Observations& o) {
  const Bounds b = bounds(o.distribution);
  Kernels k{o.distribution, 0, is_log(o.distribution), step_of(o.distribution), b.low, b.high};
  const size_t n = o.values.size();
  const double range = k.high - k.low;
  const double narrowest = range / std::min(100.0, 2.0 + static_cast<double>(n));
  k.mu = o.values;
  k.sigma = gaps(o, k.low, k.high);
  for (double& sigma : k.sigma) sigma = std::clamp(sigma, narrowest, range);
  k.mu.push_back(0.5 * (k.low + k.high));
  k.sigma.push_back(range);
  k.ascending = o.ascending;
  k.log_norm.resize(n + 1);
  for (size_t i = 0; i <= n; ++i) {
    Normaliser* known = i < o.known.size() ? o.known[i] : nullptr;
    if (!known || known->sigma != k.sigma[i]) {
      const double sigma = k.sigma[i];
      double norm = -log_gauss_mass((k.low - k.mu[i]) / sigma, (k.high - k.mu[i]) / sigma);
      if (k.step == 0) norm -= std::log(sigma) + kLogSqrt2Pi;
      k.log_norm[i] = norm;
      if (known) *known = {sigma, norm};
    } else {
      k.log_norm[i] = known->log;
    }
  }
  return k;
}

ParzenEstimator::ParzenEstimator(std::span<const Observations> parameters,
                                 std::vector<double> weights, double prior_weight,
                                 double choice_prior_weight)
    : weights_(std::move(weights)) {
  weights_.push_back(weights_.empty() ? 1.0 : prior_weight);
  const double sum = pairwise_sum(weights_);
  for (double& weight : weights_) weight /= sum;
  for (const Observations& o : parameters) {
    kernels_.push_back(num_choices(o.distribution) ? categorical(o, choice_prior_weight)
                                                   : numeric(o));
  }
}

double ParzenEstimator::draw_choice(const Kernels& k, size_t kernel, double quantile) {
  double sum = 0;
  size_t below = 0;  // the last choice takes what rounding leaves
  for (size_t c = 0; c + 1 < k.choices; ++c) {
    sum += k.choice_probability(kernel, c);
    below += sum < quantile;
  }
  return static_cast<double>(below);
}

double ParzenEstimator::draw_number(const Kernels& k, size_t kernel, double quantile) {
  const double mu = k.mu[kernel], sigma = k.sigma[kernel];
  const double z = truncated_normal_ppf(quantile, (k.low - mu) / sigma, (k.high - mu) / sigma);
  const double drawn = z * sigma + mu;
  const double x = k.log ? std::exp(drawn) : drawn;
  const auto clamped = [&](const auto& d, double step) {
    const double low = static_cast<double>(d.low), high = static_cast<double>(d.high);
    if (step == 0) return std::clamp(x, low, high);
    return std::clamp(low + std::nearbyint((x - low) / step) * step, low, high);
  };
  const auto* real = std::get_if<FloatDistribution>(&k.distribution);
  return real ? clamped(*real, k.step) : clamped(std::get<IntDistribution>(k.distribution), k.step);
}

std::vector<std::vector<double>> ParzenEstimator::sample(RandomState& random, size_t n) const {
  const std::vector<size_t> kernel = random.choices(weights_, n);
  std::vector<std::vector<double>> points(n, std::vector<double>(kernels_.size()));
  const auto draw = [&](bool categorical, auto one) {
    for (size_t p = 0; p < kernels_.size(); ++p) {
      if ((kernels_[p].choices > 0) != categorical) continue;
      const std::vector<double> quantiles = random.uniforms(n);
      for (size_t i = 0; i < n; ++i) points[i][p] = one(kernels_[p], kernel[i], quantiles[i]);
    }
  };
  draw(true, draw_choice);
  draw(false, draw_number);
  return points;
}

void ParzenEstimator::add_choices(const Kernels& k, const std::vector<double>& x,
                                  std::vector<std::vector<double>>& sums) {
  const auto logarithms = [](std::vector<double> values) {
    for (double& value : values) value = std::log(value);
    return values;
  };
  const std::vector<double> hit = logarithms(k.hit), miss = logarithms(k.miss);
  for (size_t i = 0; i < x.size(); ++i) {
    const auto drawn = static_cast<uint32_t>(x[i]);
    for (size_t j = 0; j < k.choice.size(); ++j) {
      sums[i][j] += k.choice[j] == drawn ? hit[drawn] : miss[k.choice[j]];
    }
  }
}

void ParzenEstimator::add_cells(const Kernels& k, const std::vector<double>& x,
                                std::vector<std::vector<double>>& sums) {
  // Grids have few distinct points and kernels: each pair's mass is found once.
  std::vector<uint32_t> group(k.mu.size());
  std::vector<uint32_t> first;  // a kernel of each group
  const auto assign = [&](uint32_t kernel) {
    if (first.empty() || k.mu[first.back()] != k.mu[kernel] ||
        k.sigma[first.back()] != k.sigma[kernel]) {
      first.push_back(kernel);
    }
    group[kernel] = static_cast<uint32_t>(first.size() - 1);
  };
  for (const uint32_t kernel : k.ascending) assign(kernel);
  assign(static_cast<uint32_t>(k.mu.size() - 1));
  std::vector<double> mass(first.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t same = std::find(x.begin(), x.begin() + i, x[i]) - x.begin();
    if (same < i) continue;
    const double left = x[i] - k.step / 2, right = x[i] + k.step / 2;
    const double a = k.log ? std::log(left) : left, b = k.log ? std::log(right) : right;
    for (size_t g = 0; g < first.size(); ++g) {
      const double mu = k.mu[first[g]], sigma = k.sigma[first[g]];
      mass[g] = log_gauss_mass((a - mu) / sigma, (b - mu) / sigma) + k.log_norm[first[g]];
    }
    for (size_t twin = i; twin < x.size(); ++twin) {
      if (x[twin] != x[i]) continue;
      for (size_t j = 0; j < group.size(); ++j) sums[twin][j] += mass[group[j]];
    }
  }
}

void ParzenEstimator::add_reals(const Kernels& k, const std::vector<double>& x,
                                std::vector<std::vector<double>>& sums) {
  for (size_t i = 0; i < x.size(); ++i) {
    const double at = k.log ? std::log(x[i]) : x[i];
    double* sum = sums[i].data();
    for (size_t j = 0; j < k.mu.size(); ++j) {
      const double z = (at - k.mu[j]) / k.sigma[j];
      sum[j] += k.log_norm[j] - 0.5 * (z * z);
    }
  }
}

std::vector<double> ParzenEstimator::log_pdf(const std::vector<std::vector<double>>& points) const {
  std::vector<std::vector<double>> sums(points.size(), std::vector<double>(weights_.size()));
  std::vector<double> x(points.size());
  for (size_t p = 0; p < kernels_.size(); ++p) {
    for (size_t i = 0; i < x.size(); ++i) x[i] = points[i][p];
    const Kernels& k = kernels_[p];
    const auto add = k.choices ? add_choices : k.step > 0 ? add_cells : add_reals;
    add(k, x, sums);
  }
  std::vector<double> log_weights = weights_;
  for (double& weight : log_weights) weight = std::log(weight);
  std::vector<double> result(points.size());
  for (size_t i = 0; i < result.size(); ++i) {
    for (size_t j = 0; j < log_weights.size(); ++j) sums[i][j] += log_weights[j];
    result[i] = log_sum_exp(sums[i]);
  }
  return result;
}

}  // namespace hone::tune::detail
