#include "hone/tune/storage/detail/sql_storage.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#include <utility>

#include "hone/core/log.h"
#include "hone/tune/storage/detail/sql_checks.h"
#include "hone/tune/storage/detail/sql_codec.h"
#include "hone/tune/storage/detail/sql_schema.h"
#include "hone/tune/storage/detail/sql_trials.h"

namespace hone::tune::detail {

SqlStorage::SqlStorage(std::unique_ptr<Connection> connection, const StorageOptions& options)
    : connection_(std::move(connection)), options_(options), owner_(getpid()) {
  prepare();
}

SqlStorage::~SqlStorage() {
  if (getpid() != owner_) connection_->abandon();
}

/// Tries again, for a bounded time, what a lock or a lost connection undid.
template <class Body>
auto SqlStorage::persist(Body body) {
  if (getpid() != owner_) {
    throw IoError(connection_->name(),
                  fmt::format("was opened by process {} and is used by its child {}; a connection "
                              "does not survive fork(): open the storage in the child",
                              owner_, getpid()));
  }
  const Deadline deadline(options_.patience);
  bool warned = false;
  for (auto pause = std::chrono::milliseconds(20);; pause = std::min(pause * 2, kLongestPause)) {
    try {
      connection_->reconnect();
      return body(deadline);
    } catch (const Transient& error) {
      connection_->rollback();
      if (deadline.passed()) {
        throw IoError(connection_->name(),
                      fmt::format("{}; gave up after {} s", error.what(), options_.patience));
      }
      if (!std::exchange(warned, true)) {
        log_warning(fmt::format("{}: {}; trying again", connection_->name(), error.what()));
      }
    } catch (...) {
      connection_->rollback();
      throw;
    }
    std::this_thread::sleep_for(pause);
  }
}

template <class Body>
auto SqlStorage::read(Body body) {
  return persist([&](const Deadline&) {
    connection_->begin_read();
    auto result = body();
    connection_->rollback();
    return result;
  });
}

template <class Body>
auto SqlStorage::write(Body body) {
  return persist([&](const Deadline& deadline) {
    connection_->begin_write();
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      connection_->commit(deadline);
    } else {
      auto result = body();
      connection_->commit(deadline);
      return result;
    }
  });
}

void SqlStorage::prepare() {
  persist([&](const Deadline&) { prepare_schema(*connection_, options_.patience); });
}

// --- studies ---

Study SqlStorage::create_study(const std::string& name, const std::vector<Direction>& directions) {
  require_name("study name", name);
  if (directions.empty()) throw Error("the study " + name + " needs a direction");
  return write([&] {
    const Rows rows = connection_->query(
        "INSERT INTO studies (study_name) VALUES ($1) ON CONFLICT (study_name) DO NOTHING "
        "RETURNING study_id",
        {name});
    if (rows.empty()) {
      throw Error(fmt::format("{}: there is a study '{}' already; continue it or name another",
                              connection_->name(), name));
    }
    Study study{rows.integer(0, 0), name, directions, {}, {}};
    for (size_t i = 0; i < directions.size(); ++i) {
      connection_->query(
          "INSERT INTO study_directions (direction, study_id, objective) VALUES ($1, $2, $3)",
          {direction_name(directions[i]), study.id, static_cast<int64_t>(i)});
    }
    return study;
  });
}

std::vector<Study> SqlStorage::read_studies(const std::string& condition,
                                            const std::vector<SqlValue>& parameters) {
  std::vector<Study> studies;
  Rows rows = connection_->query(
      "SELECT study_id, study_name FROM studies WHERE " + condition + " ORDER BY study_id",
      parameters);
  for (size_t row = 0; row < rows.size(); ++row) {
    studies.push_back({rows.integer(row, 0), rows.text(row, 1), {}, {}, {}});
  }
  for (Study& study : studies) {
    rows = connection_->query(
        "SELECT study_id, objective, direction FROM study_directions WHERE study_id = $1 "
        "ORDER BY objective",
        {study.id});
    for (size_t row = 0; row < rows.size(); ++row) {
      if (rows.integer(row, 1) != static_cast<int64_t>(row)) {
        rows.broken(row, 1, fmt::format("objective {} is expected", row));
      }
      study.directions.push_back(direction_at(rows, row, 2));
    }
    if (study.directions.empty()) {
      throw IoError(connection_->name(), "study_directions holds none of the study " + study.name);
    }
    for (const bool system : {false, true}) {
      rows = connection_->query(fmt::format("SELECT study_id, \"key\", value_json FROM "
                                            "study_{}_attributes WHERE study_id = $1",
                                            system ? "system" : "user"),
                                {study.id});
      Attributes& attrs = system ? study.system_attrs : study.user_attrs;
      for (size_t row = 0; row < rows.size(); ++row) {
        attrs[rows.text(row, 1)] = attribute_at(rows, row, 2);
      }
    }
  }
  return studies;
}

std::optional<Study> SqlStorage::find_study(const std::string& name) {
  std::vector<Study> found = read([&] { return read_studies("study_name = $1", {name}); });
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

std::vector<Study> SqlStorage::studies() {
  return read([&] { return read_studies("study_id > $1", {int64_t{0}}); });
}

void SqlStorage::delete_study(int64_t study_id) {
  write([&] {
    lock_study(study_id);
    const std::vector<SqlValue> id = {study_id};
    // Keeps writers of its trials out.
    connection_->query(
        "SELECT trial_id FROM trials WHERE study_id = $1" + connection_->for_update(), id);
    for (const char* table : {"trial_user_attributes", "trial_system_attributes", "trial_params",
                              "trial_values", "trial_intermediate_values", "trial_heartbeats"}) {
      connection_->query(fmt::format("DELETE FROM {} WHERE trial_id IN (SELECT trial_id FROM "
                                     "trials WHERE study_id = $1)",
                                     table),
                         id);
    }
    for (const char* table : {"trials", "study_directions", "study_user_attributes",
                              "study_system_attributes", "studies"}) {
      connection_->query(fmt::format("DELETE FROM {} WHERE study_id = $1", table), id);
    }
  });
  caches_.erase(study_id);
}

void SqlStorage::set_study_attr(int64_t study_id, const std::string& key, const Json& value,
                                bool system) {
  require_name("attribute key", key);
  const std::string text = attribute_text(value);
  write([&] {
    lock_study(study_id);
    connection_->query(fmt::format("INSERT INTO study_{}_attributes (study_id, \"key\", "
                                   "value_json) VALUES ($1, $2, $3) ON CONFLICT (study_id, "
                                   "\"key\") DO UPDATE SET value_json = excluded.value_json",
                                   system ? "system" : "user"),
                       {study_id, key, text});
  });
}

void SqlStorage::lock_study(int64_t study_id) {
  const Rows rows = connection_->query(
      "SELECT study_id FROM studies WHERE study_id = $1" + connection_->for_update(), {study_id});
  if (rows.empty()) throw Error(fmt::format("there is no study with id {}", study_id));
}

size_t SqlStorage::objectives(int64_t study_id) {
  const Rows rows =
      connection_->query("SELECT COUNT(*) FROM study_directions WHERE study_id = $1", {study_id});
  return static_cast<size_t>(rows.integer(0, 0));
}

// --- reading trials ---

Trial SqlStorage::read_trial(int64_t trial_id) {
  std::vector<Trial> found = read_trial_rows(*connection_, "trial_id = $1", {trial_id});
  if (found.empty()) throw Error(fmt::format("there is no trial with id {}", trial_id));
  read_details(*connection_, found);
  return std::move(found.front());
}

Trial SqlStorage::trial(int64_t trial_id) {
  return read([&] { return read_trial(trial_id); });
}

/// The trials that are new or may have changed, ascending by id; nullopt if the cache is of
/// another study that had this id before (SQLite gives ids again).
std::optional<std::vector<Trial>> SqlStorage::read_changed(int64_t study_id, const Cache& cache) {
  if (cache.last_finished) {
    const auto found = read_trial_rows(*connection_, "study_id = $1 AND trial_id = $2",
                                       {study_id, cache.last_finished->id});
    const Trial& known = *cache.last_finished;
    if (found.empty() || found[0].number != known.number || found[0].start != known.start ||
        found[0].complete != known.complete) {
      return std::nullopt;
    }
  }
  std::vector<Trial> changed;
  if (!cache.unfinished.empty()) {
    changed = read_trial_rows(*connection_,
                              "study_id = $1 AND " + connection_->is_among("trial_id", "$2"),
                              {study_id, connection_->ids(cache.unfinished)});
    if (changed.size() != cache.unfinished.size()) return std::nullopt;
  }
  std::vector<Trial> fresh =
      read_trial_rows(*connection_, "study_id = $1 AND trial_id > $2", {study_id, cache.newest});
  std::move(fresh.begin(), fresh.end(), std::back_inserter(changed));
  read_details(*connection_, changed);
  return changed;
}

void SqlStorage::refresh(Cache& cache, std::vector<Trial> changed) {
  const auto by_number = [](const TrialPtr& trial, int64_t number) {
    return trial->number < number;
  };
  cache.unfinished.clear();
  for (Trial& trial : changed) {
    auto shared = std::make_shared<const Trial>(std::move(trial));
    auto place =
        std::lower_bound(cache.trials.begin(), cache.trials.end(), shared->number, by_number);
    if (place != cache.trials.end() && (*place)->id == shared->id) {
      *place = shared;
    } else {
      cache.trials.insert(place, shared);
    }
    cache.newest = std::max(cache.newest, shared->id);
    if (!finished(shared->state)) {
      cache.unfinished.push_back(shared->id);
    } else if (!cache.last_finished || cache.last_finished->id < shared->id) {
      cache.last_finished = shared;
    }
  }
}

std::vector<TrialPtr> SqlStorage::trials(int64_t study_id) {
  Cache& cache = caches_[study_id];
  std::vector<Trial> changed = read([&] {
    const Rows rows =
        connection_->query("SELECT study_id FROM studies WHERE study_id = $1", {study_id});
    if (rows.empty()) throw Error(fmt::format("there is no study with id {}", study_id));
    auto found = read_changed(study_id, cache);
    if (found) return *std::move(found);
    cache = {};
    return *read_changed(study_id, cache);
  });
  refresh(cache, std::move(changed));
  return cache.trials;
}

// --- new trials ---

/// Throws: Error if the study has had a parameter of the name with an incompatible distribution.
/// Needs the study's lock, unless all are in the cache.
void SqlStorage::check_compatible(int64_t study_id, const std::vector<Param>& params) {
  for (const Param& param : params) {
    std::optional<Distribution> before;
    const auto& known = caches_[study_id].distributions;
    if (const auto found = known.find(param.name); found != known.end()) {
      before = found->second;
    } else {
      const Rows rows = connection_->query(
          "SELECT p.param_id, p.distribution_json FROM trials t JOIN trial_params p "
          "ON p.trial_id = t.trial_id WHERE t.study_id = $1 AND p.param_name = $2 LIMIT 1",
          {study_id, param.name});
      if (!rows.empty()) before = distribution_at(rows, 0, 1);
    }
    if (before && !compatible(*before, param.distribution)) {
      throw Error(fmt::format(
          "the parameter {} was {} in this study and cannot become {}: a study "
          "keeps a parameter's class, log and choices; start a new study",
          param.name, distribution_text(*before), distribution_text(param.distribution)));
    }
  }
}

void SqlStorage::remember(int64_t study_id, const std::vector<Param>& params) {
  for (const Param& param : params) {
    caches_[study_id].distributions.emplace(param.name, param.distribution);
  }
}

/// Needs the study's lock.
Trial SqlStorage::insert_trial(int64_t study_id, Trial trial) {
  check_values(trial, objectives(study_id));
  check_params(trial.params);
  check_compatible(study_id, trial.params);
  if (!trial.start && trial.state != TrialState::kWaiting) trial.start = now();
  if (!trial.complete && finished(trial.state)) trial.complete = now();
  const auto time = [](const std::optional<Time>& t) {
    return t ? SqlValue(time_text(*t)) : SqlValue();
  };
  // While the study is locked, all its trials have smaller ids than this one will have.
  const Rows rows = connection_->query(
      "INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete) VALUES "
      "($1, (SELECT COUNT(*) FROM trials WHERE study_id = $1), $2, $3, $4) "
      "RETURNING trial_id, number",
      {study_id, state_name(trial.state), time(trial.start), time(trial.complete)});
  trial.id = rows.integer(0, 0);
  trial.number = rows.integer(0, 1);
  write_params(*connection_, trial.id, trial.params);
  write_values(*connection_, trial.id, trial.values);
  for (const auto& [step, value] : trial.intermediate) {
    write_intermediate(*connection_, trial.id, step, value);
  }
  write_attrs(*connection_, trial.id, trial.user_attrs, false);
  write_attrs(*connection_, trial.id, trial.system_attrs, true);
  return trial;
}

Trial SqlStorage::create_trial(int64_t study_id, const Trial* copy) {
  if (copy) {
    check_keys(copy->user_attrs);
    check_keys(copy->system_attrs);
  }
  Trial made = write([&] {
    lock_study(study_id);
    return insert_trial(study_id, copy ? *copy : Trial());
  });
  remember(study_id, made.params);
  return made;
}

std::optional<Trial> SqlStorage::claim_waiting(int64_t study_id, const Attributes& attrs) {
  check_keys(attrs);
  int64_t& first = caches_[study_id].first_waiting;
  // Mostly nothing waits: that is seen without a lock. A trial never waits again, and ids appear
  // in ascending order, so what lies before the first waiting one need not be looked at again.
  const Rows seen = persist([&](const Deadline&) {
    return connection_->query(
        "SELECT (SELECT trial_id FROM trials WHERE study_id = $1 AND trial_id >= $2 AND "
        "state = 'WAITING' ORDER BY trial_id LIMIT 1) AS oldest, "
        "(SELECT MAX(trial_id) FROM trials WHERE study_id = $1) AS newest",
        {study_id, first});
  });
  if (seen.null(0, 0)) {
    if (!seen.null(0, 1)) first = seen.integer(0, 1) + 1;
    return std::nullopt;
  }
  first = seen.integer(0, 0);
  return write([&]() -> std::optional<Trial> {
    const Rows rows = connection_->query(
        "UPDATE trials SET state = 'RUNNING', datetime_start = $1 WHERE state = 'WAITING' AND "
        "trial_id = (SELECT trial_id FROM trials WHERE study_id = $2 AND trial_id >= $3 AND "
        "state = 'WAITING' ORDER BY trial_id LIMIT 1" +
            connection_->skip_locked() + ") RETURNING trial_id",
        {time_text(now()), study_id, first});
    if (rows.empty()) return std::nullopt;
    const int64_t claimed = rows.integer(0, 0);
    beat(claimed);  // so that it is missed if the claimer dies at once
    write_attrs(*connection_, claimed, attrs, /*system=*/false);
    return read_trial(claimed);
  });
}

int64_t SqlStorage::enqueue(int64_t study_id, int64_t trials, const std::string& uncounted) {
  return write([&] {
    lock_study(study_id);
    const Rows rows = connection_->query(
        "SELECT COUNT(*) FROM trials t WHERE study_id = $1 AND state <> 'FAIL' AND NOT EXISTS ("
        "SELECT 1 FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = $2)",
        {study_id, uncounted});
    const int64_t missing = std::max<int64_t>(0, trials - rows.integer(0, 0));
    Trial waiting;
    waiting.state = TrialState::kWaiting;
    for (int64_t i = 0; i < missing; ++i) insert_trial(study_id, waiting);
    return missing;
  });
}

// --- running trials ---

SqlStorage::LockedTrial SqlStorage::lock_trial(int64_t trial_id) {
  const Rows rows = connection_->query(
      "SELECT trial_id, study_id, number, state FROM trials WHERE trial_id = $1" +
          connection_->for_update(),
      {trial_id});
  if (rows.empty()) throw Error(fmt::format("there is no trial with id {}", trial_id));
  return {rows.integer(0, 1), rows.integer(0, 2), state_at(rows, 0, 3)};
}

SqlStorage::LockedTrial SqlStorage::lock_unfinished(int64_t trial_id) {
  const LockedTrial trial = lock_trial(trial_id);
  if (finished(trial.state)) {
    throw TrialFinished(
        fmt::format("the trial {} has ended already, as {}: another worker took "
                    "its worker for dead",
                    trial.number, enum_name(trial.state)));
  }
  return trial;
}

/// Of a trial, which never changes.
int64_t SqlStorage::study_of(int64_t trial_id) {
  const Rows rows =
      connection_->query("SELECT study_id FROM trials WHERE trial_id = $1", {trial_id});
  if (rows.empty()) throw Error(fmt::format("there is no trial with id {}", trial_id));
  return rows.integer(0, 0);
}

void SqlStorage::set_params(int64_t trial_id, const std::vector<Param>& params) {
  check_params(params);
  const int64_t study_id = write([&] {
    const int64_t study = study_of(trial_id);
    const auto& known = caches_[study].distributions;
    const bool all_known = std::all_of(params.begin(), params.end(), [&](const Param& param) {
      return known.contains(param.name);
    });
    if (!all_known) lock_study(study);
    const LockedTrial trial = lock_unfinished(trial_id);
    check_compatible(study, params);
    std::vector<Param> missing;
    for (const Param& param : params) {
      const Rows rows = connection_->query(
          "SELECT param_id, param_value FROM trial_params WHERE trial_id = $1 AND param_name = $2",
          {trial_id, param.name});
      if (rows.empty()) {
        missing.push_back(param);
      } else if (rows.real(0, 1) != param.value) {
        throw Error(fmt::format("the parameter {} of the trial {} is {} already, cannot become {}",
                                param.name, trial.number, rows.real(0, 1), param.value));
      }
    }
    write_params(*connection_, trial_id, missing);
    return study;
  });
  remember(study_id, params);
}

void SqlStorage::report(int64_t trial_id, int64_t step, double value) {
  write([&] {
    lock_unfinished(trial_id);
    write_intermediate(*connection_, trial_id, step, value);
  });
}

void SqlStorage::set_trial_attrs(int64_t trial_id, const Attributes& attrs, bool system) {
  check_keys(attrs);
  write([&] {
    lock_unfinished(trial_id);
    write_attrs(*connection_, trial_id, attrs, system);
  });
}

/// The last intermediate value, unless there is none or it is NaN.
std::vector<double> SqlStorage::pruned_values(int64_t trial_id) {
  const Rows rows = connection_->query(
      "SELECT trial_id, intermediate_value, intermediate_value_type FROM "
      "trial_intermediate_values WHERE trial_id = $1 ORDER BY step DESC LIMIT 1",
      {trial_id});
  if (rows.empty()) return {};
  const double value = number_at(rows, 0, 1);
  return std::isnan(value) ? std::vector<double>{} : std::vector<double>{value};
}

void SqlStorage::end_trial(int64_t trial_id, TrialState state, const std::vector<double>& values) {
  write_values(*connection_, trial_id, values);
  connection_->query("UPDATE trials SET state = $1, datetime_complete = $2 WHERE trial_id = $3",
                     {state_name(state), time_text(now()), trial_id});
}

TrialState SqlStorage::finish(int64_t trial_id, TrialState state,
                              const std::vector<double>& values) {
  if (!finished(state)) {
    throw Error("a trial ends as complete, pruned or fail, not as " + enum_name(state));
  }
  if (state != TrialState::kComplete && !values.empty()) {
    throw Error(fmt::format("a trial that ends as {} takes no values", enum_name(state)));
  }
  return write([&] {
    const LockedTrial trial = lock_unfinished(trial_id);
    const size_t wanted = objectives(trial.study_id);
    if (state == TrialState::kComplete && values.size() != wanted) {
      throw Error(fmt::format("the trial {} needs {} values, one for each objective, got {}",
                              trial.number, wanted, values.size()));
    }
    if (state == TrialState::kComplete && has_nan(values)) {
      end_trial(trial_id, TrialState::kFail, {});
      return TrialState::kFail;
    }
    end_trial(trial_id, state,
              state == TrialState::kPruned && wanted == 1 ? pruned_values(trial_id) : values);
    return state;
  });
}

// --- dead workers ---

bool SqlStorage::heartbeat(int64_t trial_id) {
  return write([&] {
    if (finished(lock_trial(trial_id).state)) return false;
    beat(trial_id);
    return true;
  });
}

void SqlStorage::beat(int64_t trial_id) {
  connection_->query(
      "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES ($1, CURRENT_TIMESTAMP) "
      "ON CONFLICT (trial_id) DO UPDATE SET heartbeat = excluded.heartbeat",
      {trial_id});
}

/// Ends a RUNNING trial as FAIL and enqueues it again, with what Optuna's
/// RetryHeartbeatStaleTrialCallback keeps. Needs the study's lock.
Trial SqlStorage::retry(int64_t study_id, int64_t trial_id, const RetryOptions& options) {
  end_trial(trial_id, TrialState::kFail, {});
  Trial failed = read_trial(trial_id);
  Trial again;
  again.state = TrialState::kWaiting;
  again.params = failed.params;
  again.user_attrs = failed.user_attrs;
  again.user_attrs.erase(kProcess);
  again.system_attrs = failed.system_attrs;
  again.system_attrs.emplace("failed_trial", failed.number);
  Json& history = again.system_attrs.emplace("retry_history", Json::array()).first->second;
  if (!history.is_array()) history = Json::array();
  history.push_back(failed.number);
  if (!options.max_retries || static_cast<int64_t>(history.size()) <= *options.max_retries) {
    insert_trial(study_id, std::move(again));
  }
  return failed;
}

std::map<int64_t, double> SqlStorage::silences(int64_t study_id) {
  const Rows rows = read([&] { return silent_trials(*connection_, study_id, -1e9); });
  std::map<int64_t, double> found;
  for (size_t row = 0; row < rows.size(); ++row) found[rows.integer(row, 0)] = rows.real(row, 1);
  return found;
}

std::vector<Trial> SqlStorage::fail_stale(int64_t study_id, const RetryOptions& options) {
  const auto find = [&] { return silent_trials(*connection_, study_id, options.grace_seconds); };
  if (read(find).empty()) return {};
  return write([&] {
    lock_study(study_id);
    std::vector<Trial> failed;
    const Rows rows = find();
    for (size_t row = 0; row < rows.size(); ++row) {
      const int64_t trial_id = rows.integer(row, 0);
      // Its worker may have ended it meanwhile.
      if (lock_trial(trial_id).state != TrialState::kRunning) continue;
      failed.push_back(retry(study_id, trial_id, options));
    }
    return failed;
  });
}

void SqlStorage::fail_and_retry(int64_t trial_id, const RetryOptions& options) {
  write([&] {
    const int64_t study_id = study_of(trial_id);
    lock_study(study_id);
    const LockedTrial trial = lock_unfinished(trial_id);
    if (trial.state != TrialState::kRunning) {
      throw Error(
          fmt::format("the trial {} is {}, not running", trial.number, enum_name(trial.state)));
    }
    retry(study_id, trial_id, options);
  });
}

}  // namespace hone::tune::detail
