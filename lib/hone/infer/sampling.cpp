#include "hone/infer/sampling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "hone/core/json.h"
#include "hone/core/keys.h"

namespace hone::infer {
namespace {

constexpr float kDropped = -std::numeric_limits<float>::infinity();

/// In independent lanes, so that it becomes vector code.
float largest(std::span<const float> logits) {
  constexpr size_t kLanes = 32;
  std::array<float, kLanes> lanes;
  lanes.fill(logits[0]);
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = std::max(lanes[lane], logits[i + lane]);
  }
  for (; i < logits.size(); ++i) lanes[0] = std::max(lanes[0], logits[i]);
  return *std::max_element(lanes.begin(), lanes.end());
}

/// In float32, as transformers has them: its comparisons with thresholds are of such numbers.
std::vector<float> softmax(std::span<const float> logits) {
  const float top = largest(logits);
  std::vector<float> p(logits.size());
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(logits[i] - top);
  for (float& x : p) x = static_cast<float>(x / sum);
  return p;
}

}  // namespace

void SamplingOptions::validate(Validation& v) const {
  if (temperature == 0) {
    for (const char* key : {"top_k", "top_p", "min_p", "seed"}) {
      v.no_effect(key, "with temperature 0, which always takes the likeliest token");
    }
  }
  for (const std::string& stop : stop_strings) {
    if (stop.empty()) v.problem("stop_strings", "must not hold an empty string");
  }
  for (const int64_t id : stop_ids.value_or(std::vector<int64_t>())) {
    if (id < 0) v.problem("stop_ids", "must not be negative, got " + std::to_string(id));
  }
}

void penalise_repetition(std::span<float> logits, std::span<const int64_t> ids, double penalty) {
  std::vector<int64_t> seen(ids.begin(), ids.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  const auto factor = static_cast<float>(penalty);
  for (const int64_t id : seen) {
    float& logit = logits[id];
    logit = logit < 0 ? logit * factor : logit / factor;
  }
}

void apply_temperature(std::span<float> logits, double temperature) {
  for (float& logit : logits) logit /= static_cast<float>(temperature);
}

void keep_top_k(std::span<float> logits, int64_t k) {
  if (k >= static_cast<int64_t>(logits.size())) return;
  std::vector<float> sorted(logits.begin(), logits.end());
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  const float last = sorted[k - 1];
  for (float& logit : logits) {
    if (logit < last) logit = kDropped;
  }
}

void keep_top_p(std::span<float> logits, double p) {
  const std::vector<float> probabilities = softmax(logits);
  const auto dropped_share = static_cast<float>(1 - p);
  // Tokens this unlikely cannot reach the share all together: they need no sorting.
  const float negligible = dropped_share / (2 * static_cast<float>(logits.size()));
  std::vector<size_t> order;
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (probabilities[i] >= negligible) {
      order.push_back(i);
    } else {
      sum += probabilities[i];
      logits[i] = kDropped;
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] < logits[b]; });
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    sum += probabilities[order[i]];
    if (static_cast<float>(sum) > dropped_share) break;
    logits[order[i]] = kDropped;
  }
}

void keep_min_p(std::span<float> logits, double p) {
  const std::vector<float> probabilities = softmax(logits);
  const float least = static_cast<float>(p) * largest(probabilities);
  for (size_t i = 0; i < logits.size(); ++i) {
    if (probabilities[i] < least) logits[i] = kDropped;
  }
}

void process_logits(std::span<float> logits, std::span<const int64_t> ids,
                    const SamplingOptions& options) {
  if (options.repetition_penalty != 1) {
    penalise_repetition(logits, ids, options.repetition_penalty);
  }
  if (options.temperature == 0) return;
  if (options.temperature != 1) apply_temperature(logits, options.temperature);
  if (options.top_k > 0) keep_top_k(logits, options.top_k);
  if (options.top_p < 1) keep_top_p(logits, options.top_p);
  if (options.min_p > 0) keep_min_p(logits, options.min_p);
}

int64_t greedy_token(std::span<const float> logits) {
  return std::find(logits.begin(), logits.end(), largest(logits)) - logits.begin();
}

int64_t sampled_token(std::span<const float> logits, Random& random) {
  const float top = largest(logits);
  std::vector<double> ends(logits.size());
  double sum = 0;
  for (size_t i = 0; i < ends.size(); ++i) ends[i] = sum += std::exp(double{logits[i]} - top);
  // The first token whose end lies above the point; one of probability 0 has its end where the one
  // before it has, so it is never the first. `sum` itself is out of reach but for rounding.
  const double point = std::min(random.uniform() * sum, std::nextafter(sum, 0.0));
  return std::upper_bound(ends.begin(), ends.end(), point) - ends.begin();
}

std::vector<int64_t> eos_ids(const std::string& folder) {
  const char* const key = "eos_token_id";
  for (const char* name : {"generation_config.json", "config.json"}) {
    const std::string path = folder + "/" + name;
    if (!std::filesystem::exists(path)) continue;
    const Json json = read_json_file(path, {.max_bytes = size_t{16} << 20});
    Keys keys(json, path, "");
    const Json* ids = keys.find(key);
    if (!ids) continue;
    if (ids->is_array()) return keys.integers(key, 0, INT32_MAX);
    return {keys.required_integer(key, 0, INT32_MAX)};
  }
  return {};
}

}  // namespace hone::infer
