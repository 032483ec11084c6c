/// Where studies live: Optuna's relational schema (revision v3.2.0.a).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/tune/trial.h"

namespace hone::tune {

struct Study {
  int64_t id = 0;
  std::string name;
  std::vector<Direction> directions;
  Attributes user_attrs, system_attrs;
};

/// A write to a trial that has ended already: another worker took it for dead.
class TrialFinished : public Error {
 public:
  using Error::Error;
};

/// User attribute of a running trial that tells which process runs it (process_identity()); a trial
/// that is enqueued again does not keep it, since another may claim that.
inline constexpr const char* kProcess = "hone:process";

/// How trials of dead workers are treated.
struct RetryOptions {
  double grace_seconds = 120;          ///< silence after which a worker is dead
  std::optional<int64_t> max_retries;  ///< new WAITING trials made of one; nullopt: no bound
};

/// One connection to one database. Every method that writes is one transaction: it happens whole or
/// not at all, whenever the process dies. Methods wait for locks and reconnect to a server that
/// restarts, for a bounded time. Not for several threads at once: open one storage a thread; nor
/// across fork().
/// All throw: IoError naming the database and what is wrong with it.
class Storage {
 public:
  virtual ~Storage() = default;

  /// The new study. Throws: Error if the name is taken.
  virtual Study create_study(const std::string& name, const std::vector<Direction>& directions) = 0;
  virtual std::optional<Study> find_study(const std::string& name) = 0;
  virtual std::vector<Study> studies() = 0;
  virtual void delete_study(int64_t study_id) = 0;
  virtual void set_study_attr(int64_t study_id, const std::string& key, const Json& value,
                              bool system = false) = 0;

  /// All trials, ascending by number. Finished trials are read once and shared from then on.
  virtual std::vector<TrialPtr> trials(int64_t study_id) = 0;
  virtual Trial trial(int64_t trial_id) = 0;

  /// A new RUNNING trial that starts now; or one that is as `copy` in all but id and number
  /// (WAITING to enqueue it; a finished one to record it).
  virtual Trial create_trial(int64_t study_id, const Trial* copy = nullptr) = 0;
  /// The oldest WAITING trial, now RUNNING, with a first heartbeat and the user attributes `attrs`,
  /// and the caller's alone; nullopt if there is none.
  virtual std::optional<Trial> claim_waiting(int64_t study_id, const Attributes& attrs = {}) = 0;

  /// Throw: TrialFinished; Error if a parameter's distribution is incompatible with the study's.
  virtual void set_params(int64_t trial_id, const std::vector<Param>& params) = 0;
  virtual void report(int64_t trial_id, int64_t step, double value) = 0;
  virtual void set_trial_attrs(int64_t trial_id, const Attributes& attrs, bool system = false) = 0;
  /// COMPLETE with a value for each objective, PRUNED or FAIL. A PRUNED trial of one objective gets
  /// its last intermediate value as value unless that is NaN. COMPLETE with NaN becomes FAIL, as
  /// Optuna does; returns the state that was stored.
  virtual TrialState finish(int64_t trial_id, TrialState state,
                            const std::vector<double>& values = {}) = 0;

  /// Says that the trial's worker lives, by the database's clock. Returns false, and stores
  /// nothing, if the trial has ended: another worker took this one for dead.
  virtual bool heartbeat(int64_t trial_id) = 0;
  /// Seconds since the last heartbeat of each RUNNING trial that has one, by id, by the database's
  /// clock.
  virtual std::map<int64_t, double> silences(int64_t study_id) = 0;
  /// Fails the RUNNING trials whose heartbeat is older than the grace and enqueues each again
  /// (system attributes failed_trial, retry_history). Returns the failed trials.
  virtual std::vector<Trial> fail_stale(int64_t study_id, const RetryOptions& options) = 0;
  /// The same for one RUNNING trial whose worker is known to be dead. Throws: TrialFinished.
  virtual void fail_and_retry(int64_t trial_id, const RetryOptions& options) = 0;

  /// Makes WAITING trials until the study has `trials`, in one transaction, so that several callers
  /// make no more. Failed trials and those with the user attribute `uncounted` do not count.
  /// Returns how many were made.
  virtual int64_t enqueue(int64_t study_id, int64_t trials, const std::string& uncounted) = 0;
};

struct StorageOptions {
  /// How long a method waits for locks and for a server that restarts, in seconds.
  double patience = 60;
};

/// `url`: "sqlite:///relative.db", "sqlite:////absolute.db" or a plain path; or
/// "postgresql://user@host/database" and all else that libpq takes, also SQLAlchemy's
/// "postgresql+psycopg2://". Creates what is missing: the SQLite file, the tables.
/// Throws: IoError if it cannot be opened, is no database, or is of another schema revision.
std::unique_ptr<Storage> open_storage(const std::string& url, const StorageOptions& options = {});

}  // namespace hone::tune
