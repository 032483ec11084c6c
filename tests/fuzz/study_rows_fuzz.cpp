// A study's rows as anyone may have written them into the database: distributions, attributes,
// times, states and numbers go into SQLite as they are, and come back through the storage. What it
// takes must survive writing and reading again, and everything that shows, samples, prunes or goes
// on with a study must take it or refuse it with an Error.
//
// The input's first byte picks what the study is shown to, the second its directions. Each line
// after them is a row: its table's letter and its cells, parted by tabs; an empty cell is NULL.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "hone/tune/pareto.h"
#include "hone/tune/pruners/pruners.h"
#include "hone/tune/report/export.h"
#include "hone/tune/report/live_table.h"
#include "hone/tune/report/report.h"
#include "hone/tune/samplers/cma_es_sampler.h"
#include "hone/tune/samplers/gp_sampler.h"
#include "hone/tune/samplers/grid_sampler.h"
#include "hone/tune/samplers/random_sampler.h"
#include "hone/tune/samplers/tpe_sampler.h"
#include "hone/tune/search.h"
#include "hone/tune/space.h"
#include "hone/tune/storage/detail/sql_codec.h"
#include "hone/tune/storage/detail/sql_storage.h"
#include "hone/tune/storage/detail/sqlite_connection.h"

namespace {

using namespace hone;
using namespace hone::tune;

enum Use : uint8_t { kShow = 1, kSample = 2, kPrune = 4, kGoOn = 8 };
constexpr uint8_t kModel = 'G';  // alone, with few trials and one objective: it is slow
constexpr size_t kMostModelled = 3;

void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

/// Tables by the letter of their lines; the first column is the study's or the trial's id.
struct Table {
  char letter;
  const char* name;
  std::vector<const char*> columns;
  bool of_trial;
};
const std::vector<Table>& tables() {
  static const std::vector<Table> all = {
      {'P', "trial_params", {"param_name", "param_value", "distribution_json"}, true},
      {'V', "trial_values", {"objective", "value", "value_type"}, true},
      {'I',
       "trial_intermediate_values",
       {"step", "intermediate_value", "intermediate_value_type"},
       true},
      {'U', "trial_user_attributes", {"\"key\"", "value_json"}, true},
      {'S', "trial_system_attributes", {"\"key\"", "value_json"}, true},
      {'A', "study_user_attributes", {"\"key\"", "value_json"}, false},
      {'B', "study_system_attributes", {"\"key\"", "value_json"}, false}};
  return all;
}

/// One database in memory for all inputs; each input is a study of its own, deleted after it.
class Database {
 public:
  Database() {
    auto connection = std::make_unique<detail::SqliteConnection>(":memory:", 1);
    connection_ = connection.get();
    storage_ = std::make_unique<detail::SqlStorage>(std::move(connection), StorageOptions{1});
  }

  Storage& storage() { return *storage_; }

  Study begin(uint8_t directions) {
    const auto direction = [](bool most) {
      return most ? Direction::kMaximize : Direction::kMinimize;
    };
    std::vector<Direction> all = {direction(directions & 1)};
    if (directions & 2) all.push_back(direction(directions & 4));
    return storage_->create_study("fuzz", all);
  }

  /// A row that the database itself refuses is left out.
  void insert(int64_t study, std::string_view line) {
    if (line[0] == 'T') {
      const detail::Rows made = query(
          "INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete) "
          "VALUES ($1, $2, $3, $4, $5) RETURNING trial_id",
          {study, trials_}, line, 3);
      if (made.empty()) return;
      trial_ = made.integer(0, 0);
      ++trials_;
    }
    for (const Table& table : tables()) {
      if (table.letter != line[0] || (table.of_trial && trials_ == 0)) continue;
      query(fmt::format("INSERT OR REPLACE INTO {} ({}, {}) VALUES ($1, $2, $3{})", table.name,
                        table.of_trial ? "trial_id" : "study_id", fmt::join(table.columns, ", "),
                        table.columns.size() == 3 ? ", $4" : ""),
            {table.of_trial ? trial_ : study}, line, table.columns.size());
    }
  }

  void end(int64_t study) {
    storage_->delete_study(study);
    trials_ = 0;
  }

 private:
  /// With the line's cells behind `values`: its letter is left out, the last takes what is left.
  detail::Rows query(const std::string& sql, std::vector<detail::SqlValue> values,
                     std::string_view line, size_t cells) {
    for (size_t i = 0; i < cells; ++i) {
      line.remove_prefix(std::min(line.size(), line.find('\t')));
      line.remove_prefix(std::min<size_t>(line.size(), 1));
      const std::string_view cell = i + 1 < cells ? line.substr(0, line.find('\t')) : line;
      values.push_back(cell.empty() ? detail::SqlValue() : detail::SqlValue(std::string(cell)));
    }
    try {
      return connection_->query(sql, values);
    } catch (const IoError&) {
      return detail::Rows("", {});
    }
  }

  detail::SqliteConnection* connection_;
  std::unique_ptr<Storage> storage_;
  int64_t trial_ = 0, trials_ = 0;
};

/// Lets an Error pass: whatever else is thrown ends the fuzzer.
void refusing(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    require(*error.what() != 0, "an error without a reason");
  }
}

void check_attributes(const Attributes& attributes) {
  for (const auto& [key, value] : attributes) {
    require(parse_json(detail::attribute_text(value), "stored") == value,
            "an attribute changes when it is stored again");
  }
}

void check_params(const Trial& trial) {
  for (const Param& param : trial.params) {
    const Distribution& d = param.distribution;
    require(validated(d) == d, "a distribution is not what its validation gives");
    require(parse_distribution(distribution_text(d)) == d, "a distribution changes when stored");
    require(std::isfinite(param.value), "a parameter without a number");
    require(cardinality(d).value_or(1) > 0, "a distribution without values");
  }
}

void show(const StudyView& study) {
  trials_csv(study);
  trials_jsonl(study);
  live_table(study, 0);
  refusing([&] { pareto_front(study); });
  refusing([&] { render_study_report(study); });
}

/// Whether a trial has the parameter with a distribution that holds the value.
bool known(const StudyView& study, const std::string& name, double value) {
  return std::any_of(study.trials.begin(), study.trials.end(), [&](const TrialPtr& trial) {
    const Param* param = trial->param(name);
    return param && contains(param->distribution, value);
  });
}

/// Draws a trial; every value must lie where its distribution says.
void sample(Sampler& sampler, const StudyView& study) {
  Trial trial;
  trial.number = static_cast<int64_t>(study.trials.size());
  const Suggestion joint = sampler.sample_relative(study, trial);
  for (const auto& [name, value] : joint) {
    require(known(study, name, value), "a joint draw lies outside");
  }
  for (const auto& [name, distribution] : intersection_space(study, /*fixed_ranges=*/false)) {
    const double value = sampler.sample_independent(study, trial, name, distribution);
    require(contains(distribution, value), "a single draw lies outside");
  }
  check_attributes(trial.system_attrs);
}

void sample(const StudyView& study) {
  TpeOptions joint{.startup_trials = 1}, grouped = joint, single = joint;
  grouped.group = true;
  single.multivariate = false;
  refusing([&] { sample(*make_random_sampler(1), study); });
  for (const TpeOptions& options : {joint, grouped, single}) {
    refusing([&] { sample(*make_tpe_sampler(options, 1), study); });
  }
  refusing([&] { sample(*make_cma_es_sampler({}, 1), study); });
  refusing([&] {
    const auto grid = make_grid_sampler({{"x", {0, 1}}}, 1);
    for (const TrialPtr& trial : study.trials) {
      Trial copy = *trial;
      grid->sample_relative(study, copy);
      refusing([&] { grid->sample_independent(study, copy, "x", IntDistribution{0, 1}); });
    }
  });
}

void prune(const StudyView& study) {
  PrunerOptions options;
  options.patient.emplace();
  options.threshold.emplace().upper = 1;
  for (const auto& [kind, name] : EnumNames<PrunerKind>::values) {
    options.kind = kind;
    const auto pruner = make_pruner(options);
    for (const TrialPtr& trial : study.trials) {
      Trial copy = *trial;
      if (pruner && !copy.intermediate.empty()) refusing([&] { pruner->prune(study, copy); });
    }
  }
}

/// What a worker does that continues the study.
void go_on(Storage& storage, const Study& study) {
  static const Space space(
      {{"x", {.low = 0, .high = 1}},
       {"n", {.type = ParameterType::kInt, .low = 1, .high = 64, .log = true}},
       {"c", {.type = ParameterType::kCategorical, .choices = {"a", 1, true}}}},
      "/space");
  const auto sampler = make_tpe_sampler({.startup_trials = 1}, 1);
  const auto pruner = make_pruner({.kind = PrunerKind::kSuccessiveHalving});
  Search search(storage, study, space, *sampler, pruner.get(), {}, {.worker = "fuzz"});
  search.enqueue(static_cast<int64_t>(storage.trials(study.id).size()) + 1);
  for (int i = 0; i < 2; ++i) {
    std::optional<Trial> trial;
    refusing([&] { trial = search.ask(); });
    if (!trial) continue;
    refusing([&] { search.report(*trial, 1, 0.5); });
    refusing([&] {
      search.tell(*trial, TrialState::kComplete, std::vector<double>(study.directions.size(), 0.5));
    });
  }
  for (const TrialPtr& trial : storage.trials(study.id)) {
    if (trial->state != TrialState::kRunning) continue;
    refusing([&] { storage.fail_and_retry(trial->id, {.max_retries = 1}); });
  }
}

void use(Database& database, const Study& made, uint8_t uses) {
  Study study = made;
  for (const Study& one : database.storage().studies()) {
    check_attributes(one.user_attrs);
    check_attributes(one.system_attrs);
    study = one;
  }
  const StudyView view{study.name, study.directions, database.storage().trials(study.id)};
  for (const TrialPtr& trial : view.trials) {
    check_params(*trial);
    check_attributes(trial->user_attrs);
    check_attributes(trial->system_attrs);
  }
  if (uses == kModel) {
    if (view.trials.size() > kMostModelled || view.directions.size() > 1) return;
    refusing([&] { sample(*make_gp_sampler({.startup_trials = 1}, 1), view); });
    return;
  }
  if (uses & kShow) show(view);
  if (uses & kSample) sample(view);
  if (uses & kPrune && view.directions.size() == 1) prune(view);
  if (uses & kGoOn) go_on(database.storage(), study);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Database database;
  if (size < 3) return 0;
  constexpr int kMostRows = 80;
  const Study study = database.begin(data[1]);
  std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  for (int row = 0; !text.empty() && row < kMostRows; ++row) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.empty()) database.insert(study.id, line);
  }
  refusing([&] { use(database, study, data[0]); });
  database.end(study.id);
  return 0;
}
