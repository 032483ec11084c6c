/// A small study that has everything, for the tests of what shows studies.
#pragma once
#include <cmath>

#include "hone/tune/search.h"
#include "hone/tune/trial.h"

namespace hone::tune::sample {

constexpr Time kStart = 1'764'028'800'000'000;  // 2025-11-25 00:00:00
constexpr Time kSecond = 1'000'000;

inline const Distribution kLr = FloatDistribution{1e-6, 1e-1, true};
inline const Distribution kRank = IntDistribution{4, 64, false, 4};
inline const Distribution kKind =
    CategoricalDistribution{{"adamw", "a,\"b\"\r\n</script>", nullptr, true, 1, 1.0}};

/// Trial `number` of kinds that repeat: complete, complete with a conditional parameter, pruned,
/// failed, refused, running; then a waiting one at the end.
inline Trial trial(int64_t number) {
  constexpr TrialState kStates[] = {TrialState::kComplete, TrialState::kComplete,
                                    TrialState::kPruned,   TrialState::kFail,
                                    TrialState::kPruned,   TrialState::kRunning};
  const auto x = static_cast<double>(number);
  Trial trial;
  trial.id = number + 1;
  trial.number = number;
  trial.state = kStates[number % 6];
  trial.start = kStart + number * 30 * kSecond;
  trial.params = {{"/train/lr", std::pow(10, -6 + std::fmod(x * 0.37, 5)), kLr},
                  {"/lora/rank", 4.0 + 4 * (number % 16), kRank},
                  {"kind <b>", static_cast<double>(number % 6), kKind}};
  if (number % 6 == 1) trial.params.push_back({"extra", x, FloatDistribution{0, 1000}});
  const double loss = std::abs(std::log10(trial.params[0].value) + 3.5) + 0.01 * (number % 16);
  for (int64_t step = 1; step <= 5 && number % 6 != 4; ++step) {
    trial.intermediate[step * 10] = loss + 1 / static_cast<double>(step);
  }
  if (trial.state == TrialState::kRunning) return trial;
  trial.complete = *trial.start + 45 * kSecond + 500'000;
  if (trial.state == TrialState::kComplete) trial.values = {loss};
  if (number % 6 == 2) trial.values = {loss + 0.2};
  if (number % 6 == 4) trial.user_attrs[kRefused] = "needs 12.3 GiB of <8 GiB>";
  trial.user_attrs[kWorker] = "host:" + std::to_string(number % 3);
  trial.system_attrs["completed_rung_0"] = loss;
  return trial;
}

inline StudyView study(int64_t trials = 24) {
  StudyView view{"study <script>alert(1)</script>", {Direction::kMinimize}, {}};
  for (int64_t i = 0; i < trials; ++i) view.trials.push_back(std::make_shared<Trial>(trial(i)));
  Trial waiting;
  waiting.number = trials;
  waiting.state = TrialState::kWaiting;
  view.trials.push_back(std::make_shared<Trial>(waiting));
  return view;
}

/// With two objectives, the second falling where the first rises.
inline StudyView two_objectives(int64_t trials = 24) {
  StudyView view = study(trials);
  view.directions = {Direction::kMinimize, Direction::kMaximize};
  for (TrialPtr& trial : view.trials) {
    auto copy = std::make_shared<Trial>(*trial);
    if (copy->state == TrialState::kComplete) {
      copy->values.push_back(std::sqrt(copy->values[0]) + 0.1 * (copy->number % 3));
      if (copy->number % 4 == 0) copy->system_attrs[kConstraints] = Json{1.0};
    } else {
      copy->values.clear();
    }
    trial = copy;
  }
  return view;
}

}  // namespace hone::tune::sample
