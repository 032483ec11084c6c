/// A trial of a study, as Optuna has it.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/json.h"
#include "hone/core/names.h"
#include "hone/tune/distribution.h"

namespace hone::tune {

enum class Direction { kMinimize, kMaximize };

/// In the order of Optuna's numbers.
enum class TrialState { kRunning, kComplete, kPruned, kFail, kWaiting };

inline bool finished(TrialState state) {
  return state != TrialState::kRunning && state != TrialState::kWaiting;
}

struct Param {
  std::string name;
  double value = 0;  ///< internal
  Distribution distribution;
};

using Attributes = std::map<std::string, Json>;

/// Microseconds since 1970-01-01 UTC.
using Time = int64_t;

struct Trial {
  int64_t id = 0;      ///< in the storage
  int64_t number = 0;  ///< in the study, from 0
  TrialState state = TrialState::kRunning;
  std::vector<double> values;  ///< one an objective; PRUNED ones may have one, others none
  std::vector<Param> params;   ///< in the order in which they were suggested
  std::map<int64_t, double> intermediate;  ///< reported values by step; may be NaN or infinite
  Attributes user_attrs, system_attrs;
  std::optional<Time> start, complete;

  /// The parameter of that name, or null.
  const Param* param(const std::string& name) const {
    for (const Param& p : params) {
      if (p.name == name) return &p;
    }
    return nullptr;
  }
};

/// Finished trials never change, so that all readers share them.
using TrialPtr = std::shared_ptr<const Trial>;

/// System attribute of the constraint values, a list: a trial is feasible if all are <= 0. Optuna 5
/// also writes each by itself, as "constraints:<name>".
inline constexpr const char* kConstraints = "constraints";

/// System attribute of the values that an enqueued trial must take.
inline constexpr const char* kFixedParams = "fixed_params";

/// Sum of the positive constraint values; 0 for a feasible trial; nullopt if none were recorded.
std::optional<double> violation(const Trial& trial);

/// What samplers and pruners see of a study.
struct StudyView {
  std::string name;
  std::vector<Direction> directions;
  std::vector<TrialPtr> trials;  ///< ascending by number, all states
};

}  // namespace hone::tune

template <>
struct hone::EnumNames<hone::tune::Direction> {
  static constexpr std::pair<tune::Direction, const char*> values[] = {
      {tune::Direction::kMinimize, "minimize"}, {tune::Direction::kMaximize, "maximize"}};
};
template <>
struct hone::EnumNames<hone::tune::TrialState> {
  static constexpr std::pair<tune::TrialState, const char*> values[] = {
      {tune::TrialState::kRunning, "running"},
      {tune::TrialState::kComplete, "complete"},
      {tune::TrialState::kPruned, "pruned"},
      {tune::TrialState::kFail, "fail"},
      {tune::TrialState::kWaiting, "waiting"}};
};
