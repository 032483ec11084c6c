#pragma once
#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hone/tune/storage/detail/sql_connection.h"
#include "hone/tune/storage/storage.h"

namespace hone::tune::detail {

/// Optuna's tables through any Connection. Locks are taken in the order study, trials.
class SqlStorage : public Storage {
 public:
  SqlStorage(std::unique_ptr<Connection> connection, const StorageOptions& options);
  ~SqlStorage() override;

  Study create_study(const std::string& name, const std::vector<Direction>& directions) override;
  std::optional<Study> find_study(const std::string& name) override;
  std::vector<Study> studies() override;
  void delete_study(int64_t study_id) override;
  void set_study_attr(int64_t study_id, const std::string& key, const Json& value,
                      bool system) override;

  std::vector<TrialPtr> trials(int64_t study_id) override;
  Trial trial(int64_t trial_id) override;
  Trial create_trial(int64_t study_id, const Trial* copy) override;
  std::optional<Trial> claim_waiting(int64_t study_id, const Attributes& attrs) override;

  void set_params(int64_t trial_id, const std::vector<Param>& params) override;
  void report(int64_t trial_id, int64_t step, double value) override;
  void set_trial_attrs(int64_t trial_id, const Attributes& attrs, bool system) override;
  TrialState finish(int64_t trial_id, TrialState state, const std::vector<double>& values) override;

  bool heartbeat(int64_t trial_id) override;
  std::map<int64_t, double> silences(int64_t study_id) override;
  std::vector<Trial> fail_stale(int64_t study_id, const RetryOptions& options) override;
  void fail_and_retry(int64_t trial_id, const RetryOptions& options) override;
  int64_t enqueue(int64_t study_id, int64_t trials, const std::string& uncounted) override;

 private:
  /// What is known of a study without asking the database.
  struct Cache {
    std::vector<TrialPtr> trials;  ///< ascending by number
    std::vector<int64_t> unfinished;
    int64_t newest = 0;      ///< the highest id in `trials`
    TrialPtr last_finished;  ///< read again each time: shows that the study is still the same
    std::map<std::string, Distribution> distributions;
    int64_t first_waiting = 0;  ///< no trial of a lower id waits
  };

  /// Row of `trials`, locked.
  struct LockedTrial {
    int64_t study_id, number;
    TrialState state;
  };

  static constexpr std::chrono::milliseconds kLongestPause{1000};

  template <class Body>
  auto persist(Body body);
  template <class Body>
  auto read(Body body);
  template <class Body>
  auto write(Body body);
  void prepare();

  // All below run within a transaction.
  void lock_study(int64_t study_id);
  size_t objectives(int64_t study_id);
  int64_t study_of(int64_t trial_id);
  LockedTrial lock_trial(int64_t trial_id);
  LockedTrial lock_unfinished(int64_t trial_id);
  void beat(int64_t trial_id);

  std::vector<Study> read_studies(const std::string& condition,
                                  const std::vector<SqlValue>& parameters);
  Trial read_trial(int64_t trial_id);
  std::optional<std::vector<Trial>> read_changed(int64_t study_id, const Cache& cache);

  void check_compatible(int64_t study_id, const std::vector<Param>& params);
  Trial insert_trial(int64_t study_id, Trial trial);
  std::vector<double> pruned_values(int64_t trial_id);
  void end_trial(int64_t trial_id, TrialState state, const std::vector<double>& values);
  Trial retry(int64_t study_id, int64_t trial_id, const RetryOptions& options);

  static void refresh(Cache& cache, std::vector<Trial> changed);
  void remember(int64_t study_id, const std::vector<Param>& params);

  std::unique_ptr<Connection> connection_;
  const StorageOptions options_;
  const pid_t owner_;
  std::map<int64_t, Cache> caches_;
};

}  // namespace hone::tune::detail
