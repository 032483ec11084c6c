#include "hone/paths/static/static.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "hone/core/difference.h"
#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/core/random.h"
#include "hone/io/run_folder.h"
#include "hone/machine/device.h"
#include "hone/machine/hardware.h"
#include "hone/machine/stop_signal.h"
#include "hone/paths/static/feasibility.h"
#include "hone/paths/static/report.h"
#include "hone/paths/static/running_trials.h"
#include "hone/paths/static/worker.h"
#include "hone/run/compute.h"
#include "hone/run/config_json.h"
#include "hone/run/data.h"
#include "hone/tune/samplers/random_sampler.h"
#include "hone/tune/samplers/samplers.h"
#include "hone/tune/search.h"

namespace hone::paths {
namespace {

constexpr const char* kSearchAttr = "hone:search";  // study attribute: what the study searches
constexpr double kTableSeconds = 10;
constexpr auto kPoll = std::chrono::milliseconds(100);

/// What must be the same for trials to belong together.
Json identity(const StaticConfig& config) {
  const Json whole = config::to_json(config);
  return {{"base", whole.at("base")},
          {"space", whole.at("space")},
          {"presets", whole.at("presets")},
          {"objectives", whole.at("objectives")}};
}

/// A search with what its trials computed in, where it is older than that key.
Json with_compute(Json search) {
  if (search.is_object() && search.contains("base")) run::complete_compute(search.at("base"), {});
  return search;
}

/// Decides what follows the machine, format of products and presets' parameters: as in the study
/// where it has been begun, since neither may move within a study.
void resolve(StaticConfig& config, tune::Storage& storage, run::Cache& cache) {
  const auto study = storage.find_study(config.study.name);
  if (!study || !study->user_attrs.contains(kSearchAttr)) {
    if (const std::string text = resolve_compute(config, cache); !text.empty()) log_info(text);
    return resolve_presets(config, cache);
  }
  const Json begun = with_compute(study->user_attrs.at(kSearchAttr));
  if (config.base.compute == run::Compute::kAuto && begun.is_object() && begun.contains("base")) {
    const std::string kept = begun.at("base").at(run::kComputeKey);
    config.base.compute = enum_from_name<run::Compute>(kept).value_or(config.base.compute);
  }
  if (config.presets.empty()) return;
  if (!begun.is_object() || !begun.contains("presets") || !begun.contains("space")) {
    throw ConfigError(
        {{"/study", "the study \"" + config.study.name + "\" holds no search of hone"}});
  }
  Json json = config::to_json(config);
  if (begun.at("presets") != json.at("presets")) {
    throw ConfigError({{"/presets", "differs from the search that the study was begun with"}});
  }
  json["space"] = begun.at("space");
  config = config::read_config<StaticConfig>(json);
}

/// A search as today's recipes would write it: keys that came since stand at their defaults.
Json completed(const Json& search) {
  if (!search.is_object()) return search;
  try {
    return identity(config::read_config<StaticConfig>(with_compute(search)));
  } catch (const ConfigError&) {
    return search;  // rules have become stricter since
  }
}

/// Parameters of the space that the study, begun by whomever, holds as something else: no trial of
/// this search could be stored in it.
std::vector<Problem> check_parameters(const StaticConfig& config, const std::string& study,
                                      const std::vector<tune::TrialPtr>& trials) {
  const tune::Space space(config.space, "/space");
  std::vector<Problem> problems;
  for (const std::string& name : space.names()) {
    for (const tune::TrialPtr& trial : trials) {
      const tune::Param* param = trial->param(name);
      if (!param) continue;
      if (!tune::compatible(param->distribution, space.distribution(name))) {
        problems.push_back(
            {"/space/" + pointer_step(name),
             fmt::format("is {} here and {} in the study \"{}\": a study keeps a parameter's type, "
                         "log and choices; give this search another study.name or --out",
                         tune::describe(space.distribution(name)),
                         tune::describe(param->distribution), study)});
      }
      break;  // the others of the study are like it
    }
  }
  return problems;
}

/// The study of the recipe, made or found. Throws: ConfigError if it searches something else.
std::pair<tune::Study, bool> open_study(tune::Storage& storage, const StaticConfig& config) {
  const std::string& name = config.study.name;
  std::optional<tune::Study> study = storage.find_study(name);
  const bool made = !study;
  if (made) {
    try {
      study = storage.create_study(name, directions(config));
    } catch (const Error&) {  // another machine was faster
      study = storage.find_study(name);
      if (!study) throw;
    }
  }
  if (study->directions != directions(config)) {
    throw ConfigError({{"/objectives", "the study \"" + name +
                                           "\" optimises in other directions; give this search "
                                           "another study.name or --out"}});
  }
  const Json mine = identity(config);
  const auto theirs = study->user_attrs.find(kSearchAttr);
  const std::vector<tune::TrialPtr> trials = storage.trials(study->id);
  std::vector<Problem> problems = check_parameters(config, name, trials);
  if (theirs != study->user_attrs.end() && !trials.empty()) {
    auto different = differences(completed(theirs->second), mine,
                                 "differs from the search that the study \"" + name +
                                     "\" was begun with; give this one another study.name or "
                                     "--out");
    std::move(different.begin(), different.end(), std::back_inserter(problems));
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
  // A search that ended before its first trial leaves nothing that another could not belong to.
  if (theirs == study->user_attrs.end() || trials.empty()) {
    storage.set_study_attr(study->id, kSearchAttr, mine);
  }
  return {*study, made};
}

/// Throws: Error if no point of the space may run, before trials wait for one.
void check_feasible(const StaticConfig& config, const tune::Space& space, run::Cache& cache) {
  run::Config base = config.base;
  base.threads = 1;  // OpenMP's threads would be missing in the forks
  const FeasibilityJudge judge(base, trial_limits(config.budget), cache);
  const auto random = tune::make_random_sampler(static_cast<uint64_t>(config.sampler.seed));
  const tune::StudyView study{"", directions(config), {}};
  const int64_t draws = tune::SearchOptions{}.max_draws;
  std::string reason;
  for (int64_t i = 0; i < draws; ++i) {
    tune::Trial trial;
    const tune::Feasibility point = judge.judge(tune::suggest(space, *random, study, trial));
    if (point.feasible()) return;
    reason = point.reason;
  }
  throw Error(fmt::format("no feasible point in {} draws of the space; the last was refused: {}",
                          draws, reason));
}

/// The grid's points in an order that the seed decides, so that a part of it is spread over it.
std::vector<std::vector<tune::Param>> shuffled_grid(const StaticConfig& config,
                                                    const tune::Space& space) {
  std::vector<std::vector<tune::Param>> points = tune::grid(space, "/space");
  Random(derive_seed(static_cast<uint64_t>(config.sampler.seed), "grid")).shuffle(points);
  return points;
}

/// Runs `body` in a forked process that ends with this one; its log goes to `log_file`.
pid_t spawn(const std::string& log_file, const std::function<int()>& body) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) throw Error("fork failed: no process can be started");
  if (child > 0) return child;
  int code = 1;
  try {
    const machine::StopSignal stop;  // of the whole process: none is lost between trials
    std::signal(SIGINT, SIG_IGN);    // a terminal sends it to all; the supervisor decides
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    auto log = std::make_shared<std::ofstream>(log_file, std::ios::app);
    set_log_sink([log](LogLevel level, std::string_view message) {
      *log << getpid() << (level == LogLevel::kWarning ? " warning: " : " ") << message
           << std::endl;
    });
    code = body();
  } catch (const std::exception& error) {
    log_warning(std::string("worker ends: ") + error.what());
  }
  _exit(code);
}

/// Why a process that spawn() made ended: what it said last, or where it might have.
std::string last_words(const std::string& log_file, pid_t child) {
  const std::string begin = fmt::format("{} warning: worker ends: ", child);
  std::string words = "see " + log_file;
  std::ifstream log(log_file);
  for (std::string line; std::getline(log, line);) {
    if (line.starts_with(begin)) words = line.substr(begin.size());
  }
  return words;
}

/// The exit code of a process that ended: its own, or signal_exit_code().
int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : machine::signal_exit_code(WTERMSIG(status));
}

/// Waits for one process, forwarding a signal that this one got. Returns its exit code.
int wait_for(pid_t child) {
  for (bool forwarded = false;; std::this_thread::sleep_for(kPoll)) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return code_of(status);
    if (machine::StopSignal::received() && !forwarded) forwarded = kill(child, SIGTERM) == 0;
  }
}

class Supervisor {
 public:
  Supervisor(const StaticConfig& config, const run::Context& context)
      : config_(config),
        folder_(io::RunFolder::create(
            context.out,
            context.resume || std::filesystem::exists(context.out + "/" + io::kConfigFile))),
        url_(config.study.storage.value_or("sqlite:///" + folder_.file("study.db"))),
        begin_(now()) {}

  run::Report run();

 private:
  void prepare();
  /// Logs at once which trials of other processes the search waits for, and how long.
  void log_waits(tune::Storage& storage);
  void start_worker();
  /// Takes note of workers that ended; stops the search when they get nowhere.
  void handle_deaths();
  void stop();
  /// Until no worker runs, no trial waits, and none runs elsewhere.
  void watch();
  bool others_run();
  /// Logs how each trial ended that had not when last asked, and now and then how the search
  /// stands.
  void log_progress();
  bool work_left() const;
  int run_finals(const Json& report);

  StaticConfig config_;  // presets resolved by prepare()
  io::RunFolder folder_;
  const std::string url_;
  const double begin_;
  run::Cache cache_;
  WorkerContext worker_;
  std::unique_ptr<tune::Storage> storage_;
  tune::Study study_;
  std::set<pid_t> workers_;
  bool stopping_ = false;
  int deaths_ = 0;  // in a row, without a trial ended between
  int64_t ended_at_death_ = 0;
  std::string failure_;       // that stopped the search
  double idle_since_ = 0;     // when none of the workers was left; 0 while some are
  int64_t others_ = 0;        // trials of other processes that it waits for
  double next_table_ = 0;     // when the search's state is due to be logged
  std::set<int64_t> logged_;  // trials whose end has been logged
};

/// Trials that a worker has brought to an end.
int64_t ended(const std::vector<tune::TrialPtr>& trials) {
  return std::count_if(trials.begin(), trials.end(), [](const tune::TrialPtr& trial) {
    return tune::finished(trial->state) && trial->state != tune::TrialState::kFail &&
           !tune::refused(*trial);
  });
}

void Supervisor::prepare() {
  folder_.write_json(io::kConfigFile, config::to_json(config_));
  std::filesystem::create_directories(folder_.file("trials"));
  worker_ = {.storage = url_,
             .trials = folder_.file("trials"),
             .threads = worker_threads(config_),
             .deadline = config_.budget.hours > 0 ? begin_ + config_.budget.hours * 3600 : 0};

  const auto storage = tune::open_storage(url_);
  resolve(config_, *storage, cache_);
  const auto [study, made] = open_study(*storage, config_);
  study_ = study;
  const tune::Space space(config_.space, "/space");
  const auto choice = sampler_choice(config_, space);
  log_info(fmt::format("study \"{}\" in {}: sampler {} ({})", study_.name, url_,
                       enum_name(choice.kind), choice.reason));
  log_info(fmt::format(
      "{} worker{}, {} a trial", config_.budget.workers, config_.budget.workers == 1 ? "" : "s",
      machine::ThreadCount{worker_.threads, machine::thread_count(config_.base.threads).reason}
          .text()));
  retry_ended(*storage, study_.id, retry_options(config_.study));
  log_waits(*storage);
  const bool forks_share =
      config_.base.device == machine::DeviceChoice::kCpu || !machine::built_with_cuda();
  if (forks_share) check_feasible(config_, space, cache_);
  const auto sampler = tune::make_sampler(config_.sampler, choice.kind, space);
  tune::Search search(*storage, study_, space, *sampler, nullptr, {}, {});
  const int64_t added =
      choice.kind == tune::SamplerKind::kGrid
          ? search.enqueue_points(shuffled_grid(config_, space), config_.budget.trials)
          : search.enqueue(config_.budget.trials);
  if (!made) log_info(fmt::format("the study goes on: {} trials are added", added));
  if (forks_share) warm_cache(config_, cache_);  // a CUDA context would not outlive a fork
}

void Supervisor::log_waits(tune::Storage& storage) {
  for (const std::string& line : waited_for(storage, study_.id, retry_options(config_.study))) {
    log_info(line);
  }
}

void Supervisor::start_worker() {
  storage_.reset();  // no database handle may cross a fork
  const pid_t child =
      spawn(folder_.file("workers.log"), [this] { return run_worker(config_, worker_, cache_); });
  storage_ = tune::open_storage(url_);
  workers_.insert(child);
}

bool Supervisor::work_left() const {
  const auto trials = storage_->trials(study_.id);
  return (worker_.deadline == 0 || now() < worker_.deadline) &&
         std::any_of(trials.begin(), trials.end(), [](const tune::TrialPtr& trial) {
           return trial->state == tune::TrialState::kWaiting;
         });
}

void Supervisor::handle_deaths() {
  constexpr int kMostDeaths = 5;
  int status = 0;
  for (pid_t child; (child = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (workers_.erase(child) == 0) continue;
    const int code = code_of(status);
    const auto trials = storage_->trials(study_.id);
    for (const tune::TrialPtr& trial : trials) {
      const auto by = trial->user_attrs.find(tune::kWorker);
      if (trial->state != tune::TrialState::kRunning || by == trial->user_attrs.end() ||
          by->second != worker_name(child)) {
        continue;
      }
      log_warning(fmt::format("the worker of trial {} died ({}); the trial is enqueued again",
                              trial->number, code));
      try {
        storage_->fail_and_retry(trial->id, retry_options(config_.study));
      } catch (const tune::TrialFinished& error) {
        log_info(error.what());  // its heartbeat was missed before its death was noticed
      }
    }
    if (code == 0 || stopping_) continue;
    const int64_t ended_now = ended(trials);
    deaths_ = ended_now > std::exchange(ended_at_death_, ended_now) ? 1 : deaths_ + 1;
    if (deaths_ < kMostDeaths && code != 1) continue;
    failure_ = fmt::format("a worker ended with {}: {}", code,
                           last_words(folder_.file("workers.log"), child));
    stop();
  }
}

void Supervisor::stop() {
  stopping_ = true;
  for (const pid_t pid : workers_) kill(pid, SIGTERM);
}

/// Whether trials run that none of this process's workers has: on other machines, or left by a
/// process that died, which shows after the grace. Their ends are part of the report.
bool Supervisor::others_run() {
  if (idle_since_ == 0) idle_since_ = now();
  retry_ended(*storage_, study_.id, retry_options(config_.study));
  storage_->fail_stale(study_.id, retry_options(config_.study));
  int64_t running = 0;
  for (const tune::TrialPtr& trial : storage_->trials(study_.id)) {
    if (trial->state == tune::TrialState::kWaiting && work_left()) return true;
    if (trial->state != tune::TrialState::kRunning) continue;
    // One that is not of hone may never end, nor be missed.
    running += trial->user_attrs.contains(tune::kWorker) ||
               now() < idle_since_ + config_.study.grace_seconds;
  }
  if (running > 0 && running != others_) log_waits(*storage_);
  others_ = running;
  return running > 0;
}

void Supervisor::watch() {
  for (;;) {
    const auto wanted = static_cast<size_t>(config_.budget.workers);
    while (!stopping_ && workers_.size() < wanted && work_left()) start_worker();
    if (!workers_.empty()) idle_since_ = 0;
    if (workers_.empty() && (stopping_ || !others_run())) return;
    std::this_thread::sleep_for(kPoll);
    if (machine::StopSignal::received() && !stopping_) {
      log_info("stopping: running trials are given back to the study");
      stop();
    }
    handle_deaths();
    log_progress();
  }
}

void Supervisor::log_progress() {
  const tune::StudyView view{study_.name, study_.directions, storage_->trials(study_.id)};
  const auto again = tune::tried_again(view.trials);
  bool news = false;
  for (const tune::TrialPtr& trial : view.trials) {
    if (!tune::finished(trial->state) || !logged_.insert(trial->number).second) continue;
    log_info(trial_line(*trial, again));
    news = true;
  }
  if (!news || now() < next_table_) return;
  log_info(search_table(config_, view, static_cast<tune::Time>(now() * 1e6)));
  next_table_ = now() + kTableSeconds;
}

/// Runs of the best trial and of the base by several seeds, in a process of their own.
int Supervisor::run_finals(const Json& report) {
  if (config_.final.seeds == 0 || report.at("best").is_null()) return 0;
  auto recipe = read_best(folder_.path());
  if (!recipe) return 0;  // the report's notes say why
  log_info(fmt::format("final runs: the best trial and the base recipe by {} seeds each",
                       config_.final.seeds));
  storage_.reset();
  run::Config best = *std::move(recipe);
  best.threads = machine::thread_count(config_.base.threads).count;  // one runs at a time
  const pid_t child = spawn(folder_.file("workers.log"),
                            [&] { return run_final_seeds(config_, best, folder_.path(), cache_); });
  const int code = wait_for(child);
  storage_ = tune::open_storage(url_);
  return code;
}

run::Report Supervisor::run() {
  const machine::StopSignal stop;
  prepare();
  storage_ = tune::open_storage(url_);
  for (const tune::TrialPtr& trial : storage_->trials(study_.id)) {
    if (tune::finished(trial->state)) logged_.insert(trial->number);
  }
  watch();
  const tune::Study study = storage_->find_study(study_.name).value();
  const auto write = [&] {
    return write_static_report(config_, study, storage_->trials(study.id), folder_.path());
  };
  run::Report report{.json = write()};
  if (!failure_.empty()) throw Error(failure_);
  const int signal = machine::StopSignal::received();
  if (signal == 0) report.exit_code = run_finals(report.json);
  if (signal == 0 && config_.final.seeds > 0) report.json = write();
  if (signal != 0) report.exit_code = machine::signal_exit_code(signal);
  report.summary = static_summary(report.json, folder_.path());
  return report;
}

}  // namespace

run::Report run_static(const StaticConfig& config, const run::Context& context) {
  check_files(config);
  return Supervisor(config, context).run();
}

}  // namespace hone::paths
