/// A search over a study: what to try next, what a report means, how a trial ends.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hone/tune/pruners/pruner.h"
#include "hone/tune/space.h"
#include "hone/tune/storage/storage.h"

namespace hone::tune {

/// User attributes that hone writes to trials.
inline constexpr const char* kRefused = "hone:refused";  ///< why a trial was never run
inline constexpr const char* kWorker = "hone:worker";    ///< "<host>:<process>" that ran it
inline constexpr const char* kError = "hone:error";      ///< why a trial failed

/// What is known of a point before it runs.
struct Feasibility {
  std::vector<double> constraints;  ///< feasible where all are <= 0
  std::string reason;               ///< for people; "" for a feasible point
  Attributes facts;                 ///< predicted figures, kept as user attributes
  bool feasible() const { return reason.empty(); }
};
using FeasibilityCheck = std::function<Feasibility(const std::vector<Param>&)>;

struct SearchOptions {
  uint64_t seed = 0;
  std::string worker;  ///< value of kWorker
  Attributes marks;    ///< further user attributes of the trials that the worker claims
  RetryOptions retry;  ///< of trials whose workers died
  /// Whether the sampler asks of each candidate whether it may run (Sampler::may_try), where the
  /// check is cheap beside what the sampler does.
  bool ask_candidates = false;
  int64_t max_draws = 1000;  ///< infeasible draws of one trial before the search gives up
};

/// One worker's side of a study. Trials wait in the study (enqueue), each worker claims the next
/// one, draws its parameters, and ends it. Draws depend on the seed, the trial's number and the
/// history that the worker sees.
class Search {
 public:
  /// The references must outlive it; `pruner` may be null; an empty `check` lets everything pass.
  Search(Storage& storage, const Study& study, const Space& space, Sampler& sampler, Pruner* pruner,
         FeasibilityCheck check, SearchOptions options);

  /// Makes the trials that were, run, or wait up to `trials`: those that failed and were enqueued
  /// again, and refused ones, do not count. Returns how many were added.
  int64_t enqueue(int64_t trials);

  /// Makes those of `points` wait that no trial tries yet, the first `most`; returns how many.
  int64_t enqueue_points(const std::vector<std::vector<Param>>& points, int64_t most);

  /// The next trial, running and with its parameters stored; nullopt if none waits. Points that are
  /// not feasible are recorded as PRUNED trials with their constraints and reason, and drawn again;
  /// enqueued points that are not feasible end so themselves, and those that are no points of the
  /// space fail with the reason in kError.
  /// Throws: Error naming the last refusal if max_draws points in a row were infeasible; the trial
  /// waits again.
  std::optional<Trial> ask();

  /// Records an intermediate value of a trial; true if it should stop.
  bool report(Trial& trial, int64_t step, double value);

  /// Ends a trial; see Storage::finish.
  TrialState tell(const Trial& trial, TrialState state, const std::vector<double>& values = {});

  StudyView view();

 private:
  /// False if the trial was an enqueued point and has been refused.
  bool draw(Trial& trial);
  void accept(Trial& trial, const std::vector<Param>& params, const Feasibility& feasibility);
  void refuse(const std::vector<Param>& params, const Feasibility& feasibility);
  void refuse_enqueued(const Trial& trial, const std::vector<Param>& params,
                       const Feasibility& feasibility);
  void fail_enqueued(const Trial& trial, const std::string& reason);
  void store_new_attrs(const Trial& trial, const Attributes& before);

  Storage& storage_;
  const Study study_;
  const Space& space_;
  Sampler& sampler_;
  Pruner* const pruner_;
  const FeasibilityCheck check_;
  const SearchOptions options_;
};

/// Whether a trial was refused before it ran.
bool refused(const Trial& trial);

/// How people call where a trial stands: "complete", "pruned", "failed", "refused", "running",
/// "waiting"; "interrupted" for a failed one in `again`, which is tried_again() of the study.
std::string standing(const Trial& trial, const std::map<int64_t, int64_t>& again);

/// Numbers of the trials that were interrupted or lost their worker and were enqueued again, with
/// the number of the trial that takes each one's place: they failed for Optuna, not for people.
std::map<int64_t, int64_t> tried_again(const std::vector<TrialPtr>& trials);

}  // namespace hone::tune
