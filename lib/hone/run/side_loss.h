/// A loss that a run shows beside its own.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "hone/core/json.h"

namespace hone::train {
struct Task;
}

namespace hone::run {

/// Shows a loss of each step in metrics.jsonl as {"losses": {name: loss}}, to controllers as the
/// signal losses/<name>, and the mean of the last log_every steps, as that of the run's own loss,
/// in progress lines and where mean() is asked.
class SideLoss {
 public:
  explicit SideLoss(std::string name) : name_(std::move(name)) {}

  /// Wraps functions of the task, whose loop must end before this does. `take` gives the loss of
  /// the step that has ended, or nothing where there is none.
  void attach(train::Task& task, int64_t log_every, std::function<std::optional<double>()> take);

  /// None before the first.
  std::optional<double> mean() const;

  /// What mean() is of, for checkpoints.
  Json state() const { return recent_; }
  void restore(const Json& state) { recent_ = state.get<std::deque<double>>(); }

 private:
  const std::string name_;
  std::optional<double> last_;
  std::deque<double> recent_;
};

}  // namespace hone::run
