#include "hone/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "hone/train/options.h"

namespace hone::train {
namespace {

/// From 1 to 0 as `done` goes from 0 to 1.
double half_cosine(double done) { return 0.5 * (1 + std::cos(std::numbers::pi * done)); }

/// `step` counts from the end of the warm-up, `steps` are all after it.
double restarts_rate(const TrainOptions& options, int64_t step, int64_t steps) {
  const RestartOptions& restarts = options.restarts;
  int64_t length =
      restarts.t_0 > 0 ? restarts.t_0 : std::max<int64_t>(1, std::llround(steps / 3.0));
  int64_t cycle = 0;
  if (restarts.t_mult == 1) {
    cycle = step / length;
    step %= length;
  }
  for (; step >= length; ++cycle) {
    step -= length;
    length *= restarts.t_mult;
  }
  const double last = options.lr * options.min_lr_ratio;
  const double peak =
      std::max(last, options.lr * std::pow(restarts.peak_decay, static_cast<double>(cycle)));
  const double done = static_cast<double>(step) / static_cast<double>(length);
  return last + (peak - last) * half_cosine(done);
}

double one_cycle_rate(const TrainOptions& options, int64_t step) {
  const OneCycleOptions& cycle = options.one_cycle;
  const auto total = static_cast<double>(options.steps), now = static_cast<double>(step);
  const double first = options.lr / cycle.div_factor;
  struct Stretch {
    double end;  // the last step of it, in parts of a step
    double rate;
  };
  std::vector<Stretch> stretches{{cycle.pct_start * total - 1, options.lr}};
  if (cycle.three_phase) stretches.push_back({2 * cycle.pct_start * total - 2, first});
  stretches.push_back({total - 1, first / cycle.final_div_factor});
  Stretch from{0, first};
  for (const Stretch& to : stretches) {
    if (now > to.end && &to != &stretches.back()) {
      from = to;
      continue;
    }
    const double length = to.end - from.end;  // torch divides by zero where it is nothing
    const double done = length > 1e-9 ? (now - from.end) / length : 1;
    const double left = cycle.anneal == Anneal::kLinear ? 1 - done : half_cosine(done);
    return to.rate + (from.rate - to.rate) * left;
  }
  return from.rate;
}

/// What is left of the way from peak to floor after `done` of the decay.
double wsd_left(WsdForm form, double done) {
  switch (form) {
    case WsdForm::kLinear:
      return 1 - done;
    case WsdForm::kCosine:
      return half_cosine(done);
    case WsdForm::kOneMinusSqrt:
      break;
  }
  return 1 - std::sqrt(done);
}

}  // namespace

void OneCycleOptions::validate(Validation& v) const {
  if (three_phase && pct_start > 0.5) {
    v.problem("pct_start",
              "must be at most 0.5 with three_phase, whose first two phases are alike");
  }
}

double learning_rate(const TrainOptions& options, int64_t step) {
  if (options.decay == Decay::kOneCycle) return one_cycle_rate(options, step);
  const auto steps = static_cast<double>(options.steps);
  const auto warmup = static_cast<int64_t>(std::llround(options.warmup_ratio * steps));
  if (step < warmup)
    return options.lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const int64_t after = std::max<int64_t>(1, options.steps - warmup);
  const double done = static_cast<double>(step - warmup) / static_cast<double>(after);
  const double floor = options.min_lr_ratio;
  switch (options.decay) {
    case Decay::kCosine:
      return options.lr * (floor + (1 - floor) * half_cosine(done));
    case Decay::kLinear:
      return options.lr * (floor + (1 - floor) * (1 - done));
    case Decay::kCosineRestarts:
      return restarts_rate(options, step - warmup, after);
    case Decay::kWsd: {
      const int64_t falling = std::llround(options.wsd.decay_share * steps);
      const int64_t begin = options.steps - falling;
      if (step < begin) break;
      const double fallen =
          static_cast<double>(step - begin) / static_cast<double>(std::max<int64_t>(1, falling));
      return options.lr * (floor + (1 - floor) * wsd_left(options.wsd.form, fallen));
    }
    case Decay::kConstant:
    case Decay::kOneCycle:
      break;
  }
  return options.lr;
}

}  // namespace hone::train
