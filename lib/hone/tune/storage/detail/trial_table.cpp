#include "hone/tune/storage/detail/trial_table.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hone/core/error.h"
#include "hone/tune/pareto.h"
#include "hone/tune/samplers/detail/transform.h"

namespace hone::tune::detail {
namespace {

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();
/// What fits in the columns of Optuna's schema.
constexpr size_t kMostCharacters = 2045;

/// {} if the pieces are not (yet) all there.
Json stored_relative(const Trial& trial, const std::string& prefix) {
  std::string text;
  for (int i = 0;; ++i) {
    const auto found = trial.system_attrs.find(prefix + ":" + std::to_string(i));
    if (found == trial.system_attrs.end() || !found->second.is_string()) break;
    text += found->second.get<std::string>();
  }
  if (text.empty()) return Json::object();
  try {
    const Json values = parse_json(text, prefix);
    return values.is_object() ? values : Json::object();
  } catch (const Error&) {
    return Json::object();  // another worker is writing it
  }
}

auto by_value(const std::vector<double>& values) {
  return [&values](uint32_t a, uint32_t b) {
    return values[a] < values[b] || (values[a] == values[b] && a < b);
  };
}

}  // namespace

void store_relative(const char* prefix, const SearchSpace& space, const Suggestion& values,
                    Trial& trial) {
  Json json = Json::object();
  for (const auto& [name, value] : values) json[name] = external_value(space.at(name), value);
  const std::string text = json.dump(-1, ' ', true);
  for (size_t i = 0; i * kMostCharacters < text.size(); ++i) {
    trial.system_attrs[std::string(prefix) + ":" + std::to_string(i)] =
        text.substr(i * kMostCharacters, kMostCharacters);
  }
}

const TrialTable::Column* TrialTable::column(const std::string& name) const {
  const auto found = columns_.find(name);
  return found == columns_.end() ? nullptr : &found->second;
}

void TrialTable::rank(Row& row, const StudyView& study) {
  const Trial& trial = *row.trial;
  if (trial.state != TrialState::kComplete && trial.state != TrialState::kPruned) return;
  ++num_ranked_;
  ++version_;
  intersection_.add(trial, true);
  group_.add(trial);
  const auto place = [&](Rank rank, double first, double second) {
    row.rank = rank;
    row.first = first;
    row.second = second;
  };
  const double violated = violation(trial).value_or(0);
  if (violated > 0) return place(Rank::kInfeasible, violated, 0);
  if (trial.state == TrialState::kComplete) {
    return place(Rank::kComplete, losses(trial, study.directions).front(), 0);
  }
  if (trial.intermediate.empty()) return place(Rank::kPruned, 1, 0);
  const auto& [step, value] = *trial.intermediate.rbegin();
  place(Rank::kPruned, -static_cast<double>(step),
        std::isnan(value) ? std::numeric_limits<double>::infinity()
                          : loss(value, study.directions.front()));
}

void TrialTable::set(uint32_t row, const std::string& name, double internal,
                     const Distribution& distribution) {
  const double value = is_log(distribution) ? std::log(internal) : internal;
  if (!std::isfinite(value)) return;  // 0 in a logarithmic range
  const auto [entry, fresh] = columns_.try_emplace(name);
  Column& column = entry->second;
  // Another program's study may have had something else of that name.
  if (!fresh && !compatible(column.distribution, distribution)) return;
  column.distribution = distribution;
  if (column.values.size() <= row) column.values.resize(row + 1, kAbsent);
  column.values[row] = value;
  const auto at = std::upper_bound(column.ascending.begin(), column.ascending.end(), row,
                                   by_value(column.values));
  column.ascending.insert(at, row);
}

void TrialTable::set_params(uint32_t row) {
  for (const Param& param : rows_[row].trial->params) {
    set(row, param.name, param.value, param.distribution);
  }
}

void TrialTable::set_relative(uint32_t row, const char* prefix) {
  const Trial& trial = *rows_[row].trial;
  const Json stored = stored_relative(trial, prefix);  // items() refers to it
  for (const auto& [name, value] : stored.items()) {
    // Only what finished trials have is drawn jointly, so that its distribution is known.
    const auto found = columns_.find(name);
    if (found == columns_.end() || trial.param(name)) continue;
    const Distribution distribution = found->second.distribution;
    try {
      set(row, name, internal_value(distribution, value), distribution);
    } catch (const Error&) {  // not a value of this parameter: as if it were not there
    }
  }
}

void TrialTable::unset(uint32_t row) {
  for (auto& [name, column] : columns_) {
    if (!column.has(row)) continue;
    column.ascending.erase(std::lower_bound(column.ascending.begin(), column.ascending.end(), row,
                                            by_value(column.values)));
    column.values[row] = kAbsent;
  }
}

bool TrialTable::outdated(const StudyView& study) const {
  for (size_t i = 0; i < rows_.size(); ++i) {
    const bool there = i < study.trials.size() && rows_[i].trial == study.trials[i];
    if (rows_[i].finished && !there) return true;
  }
  return false;
}

void TrialTable::update(const StudyView& study, const char* prefix, int64_t skip) {
  // A view without trials that were there (another of Hyperband's brackets) is another table.
  if (outdated(study)) *this = TrialTable(version_ + 1);
  for (uint32_t i = 0; i < rows_.size(); ++i) {
    if (!rows_[i].finished) unset(i);
  }
  rows_.resize(study.trials.size());
  std::vector<uint32_t> unfinished;
  for (uint32_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].finished) continue;
    rows_[i] = {};
    if (study.trials[i]->number == skip) continue;
    rows_[i] = {study.trials[i], finished(study.trials[i]->state)};
    rank(rows_[i], study);
    if (rows_[i].rank != Rank::kUnranked) set_params(i);
    if (study.trials[i]->state == TrialState::kRunning) unfinished.push_back(i);
  }
  for (const uint32_t i : unfinished) {
    set_params(i);
    if (prefix) set_relative(i, prefix);
  }
}

}  // namespace hone::tune::detail
