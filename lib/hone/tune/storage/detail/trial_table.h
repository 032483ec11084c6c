/// A study's trials as columns, of which only what is new is read at each call.
#pragma once
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hone/tune/samplers/detail/search_space_group.h"
#include "hone/tune/trial.h"

namespace hone::tune::detail {

/// A running trial's system attributes "<prefix>:<i>" that hold pieces of a JSON object of its
/// jointly drawn external values, as Optuna's samplers share them with other workers.
void store_relative(const char* prefix, const SearchSpace& space, const Suggestion& values,
                    Trial& trial);

/// Trials 0..size() - 1 as the study lists them, which is by number.
class TrialTable {
 public:
  explicit TrialTable(uint64_t version = 0) : version_(version) {}

  /// Order of merit: finished and feasible, pruned, infeasible; running ones are not ranked.
  enum class Rank : uint8_t { kComplete, kPruned, kInfeasible, kUnranked };

  struct Row {
    TrialPtr trial;         ///< null for the one that is skipped
    bool finished = false;  ///< its values stay
    Rank rank = Rank::kUnranked;
    double first = 0, second = 0;  ///< less is better among equal ranks
  };

  struct Column {
    Distribution distribution;        ///< of the trial read last
    std::vector<double> values;       ///< a row: logarithms where log; NaN where absent
    std::vector<uint32_t> ascending;  ///< rows that have it, by value, then by row

    bool has(uint32_t row) const { return row < values.size() && !std::isnan(values[row]); }
  };

  /// `prefix`: of the attributes from which a running trial's jointly drawn values are taken, or
  /// null. `skip`: number of the trial for which values are sought.
  void update(const StudyView& study, const char* prefix, int64_t skip);

  const std::vector<Row>& rows() const { return rows_; }
  /// Null if no trial has had the parameter.
  const Column* column(const std::string& name) const;
  /// COMPLETE and PRUNED trials.
  size_t num_ranked() const { return num_ranked_; }
  /// Changes whenever a trial was ranked.
  uint64_t version() const { return version_; }

  const IntersectionSpace& intersection() const { return intersection_; }
  const SpaceGroup& group() const { return group_; }

 private:
  bool outdated(const StudyView& study) const;
  void rank(Row& row, const StudyView& study);
  void set(uint32_t row, const std::string& name, double internal,
           const Distribution& distribution);
  void set_params(uint32_t row);
  void set_relative(uint32_t row, const char* prefix);
  void unset(uint32_t row);

  std::vector<Row> rows_;
  std::map<std::string, Column> columns_;
  size_t num_ranked_ = 0;
  uint64_t version_;
  IntersectionSpace intersection_;
  SpaceGroup group_;
};

}  // namespace hone::tune::detail
