#include "hone/paths/static/worker.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "hone/core/log.h"
#include "hone/core/process.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/machine/stop_signal.h"
#include "hone/paths/static/feasibility.h"
#include "hone/paths/static/trial.h"
#include "hone/paths/static/trial_config.h"
#include "hone/run/base.h"
#include "hone/run/data.h"
#include "hone/tune/pruners/pruners.h"
#include "hone/tune/samplers/samplers.h"
#include "hone/tune/search.h"

namespace hone::paths {
namespace {

/// Beats for one trial on a thread and a connection of its own.
class Heartbeat {
 public:
  Heartbeat(const std::string& url, int64_t trial_id, double interval)
      : thread_([this, url, trial_id, interval] { beat(url, trial_id, interval); }) {}
  ~Heartbeat() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

 private:
  void beat(const std::string& url, int64_t trial_id, double interval) {
    try {
      const auto storage = tune::open_storage(url);
      std::unique_lock lock(mutex_);
      while (!wake_.wait_for(lock, std::chrono::duration<double>(interval),
                             [this] { return stop_; })) {
        lock.unlock();
        storage->heartbeat(trial_id);
        lock.lock();
      }
    } catch (const std::exception& error) {
      log_warning(std::string("heartbeat: ") + error.what());
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses the others
};

/// Seconds a FLOP of this machine, from the trials that it has run; 0 before the first.
double seconds_per_flop(const tune::StudyView& study) {
  double seconds = 0, predicted = 0;
  for (const tune::TrialPtr& trial : study.trials) {
    if (trial->state != tune::TrialState::kComplete) continue;
    const auto measured = trial->user_attrs.find(kSeconds), flops = trial->user_attrs.find(kFlops);
    if (measured == trial->user_attrs.end() || flops == trial->user_attrs.end()) continue;
    if (!measured->second.is_number() || !flops->second.is_number()) continue;
    seconds += measured->second.get<double>();
    predicted += flops->second.get<double>();
  }
  return predicted > 0 ? seconds / predicted : 0;
}

class Worker {
 public:
  Worker(const StaticConfig& config, const WorkerContext& context, run::Cache& cache)
      : config_(config),
        context_(context),
        cache_(cache),
        storage_(tune::open_storage(context.storage)),
        study_(storage_->find_study(config.study.name).value()),
        space_(config.space, "/space"),
        kind_(sampler_choice(config, space_).kind),
        sampler_(tune::make_sampler(config.sampler, kind_, space_)),
        pruner_(tune::make_pruner(config.pruner)),
        runner_(config, cache),
        search_(*storage_, study_, space_, *sampler_, pruner_.get(),
                [this](const std::vector<tune::Param>& params) { return judge(params); },
                {.seed = static_cast<uint64_t>(config.sampler.seed),
                 .worker = worker_name(getpid()),
                 .marks = marks(),
                 .retry = retry_options(config.study),
                 .ask_candidates = kind_ == tune::SamplerKind::kTpe}) {}

  int run() {
    while (context_.deadline == 0 || now() < context_.deadline) {
      if (const int signal = machine::StopSignal::received())
        return machine::signal_exit_code(signal);
      calibrate();
      try {
        std::optional<tune::Trial> trial = search_.ask();
        if (!trial) break;
        if (const int signal = run_trial(*trial)) return machine::signal_exit_code(signal);
      } catch (const tune::TrialFinished& error) {
        log_warning(error.what());  // it was enqueued again when this worker was taken for dead
      }
    }
    return 0;
  }

 private:
  /// What tells others whether this worker lives.
  static tune::Attributes marks() { return {{tune::kProcess, process_identity()}}; }

  tune::Feasibility judge(const std::vector<tune::Param>& params) const {
    return FeasibilityJudge(config_.base, trial_limits(config_.budget), cache_, seconds_per_flop_)
        .judge(params);
  }

  /// Time is measured once on the base recipe where it limits points; trials refine it.
  void calibrate() {
    if (config_.budget.trial_hours == 0) return;
    seconds_per_flop_ = seconds_per_flop(search_.view());
    if (seconds_per_flop_ > 0) return;
    if (measured_ == 0) measured_ = measure_seconds_per_flop(with_threads(config_.base), cache_);
    seconds_per_flop_ = measured_;
  }

  run::Config with_threads(run::Config config) const {
    config.threads = context_.threads;
    return config;
  }

  int run_trial(tune::Trial& trial);
  void fail(const tune::Trial& trial, const std::string& reason);

  const StaticConfig& config_;
  const WorkerContext& context_;
  run::Cache& cache_;
  const std::unique_ptr<tune::Storage> storage_;
  const tune::Study study_;
  const tune::Space space_;
  const tune::SamplerKind kind_;
  const std::unique_ptr<tune::Sampler> sampler_;
  const std::unique_ptr<tune::Pruner> pruner_;
  TrialRunner runner_;
  tune::Search search_;
  double seconds_per_flop_ = 0;
  double measured_ = 0;
  int failures_ = 0;
};

int Worker::run_trial(tune::Trial& trial) {
  const Heartbeat heartbeat(context_.storage, trial.id, config_.study.heartbeat_seconds);
  log_info(fmt::format("trial {} begins", trial.number));
  TrialResult result;
  try {
    const run::Config config = with_threads(trial_config(config_.base, trial.params));
    result =
        runner_.run(config, fmt::format("{}/{:05}", context_.trials, trial.number),
                    [&](int64_t step, double value) { return search_.report(trial, step, value); });
  } catch (const tune::TrialFinished&) {
    throw;
  } catch (const std::exception& error) {
    fail(trial, error.what());
    return 0;
  }
  if (result.signal != 0) {
    storage_->fail_and_retry(trial.id, {config_.study.grace_seconds, std::nullopt});
    return result.signal;
  }
  failures_ = 0;
  storage_->set_trial_attrs(trial.id, result.facts);
  if (result.guard_stopped) {  // known only now: the point breaks the guard
    storage_->set_trial_attrs(trial.id, {{tune::kConstraints, Json::array({1.0})}}, true);
  }
  const tune::TrialState state = search_.tell(trial, result.state, result.values);
  log_info(fmt::format("trial {}: {}{}", trial.number, enum_name(state),
                       result.values.empty() ? "" : fmt::format(" {:.6g}", result.values[0])));
  return 0;
}

void Worker::fail(const tune::Trial& trial, const std::string& reason) {
  constexpr int kMostFailures = 3;
  log_warning(fmt::format("trial {} failed: {}", trial.number, reason));
  storage_->set_trial_attrs(trial.id, {{tune::kError, reason}});
  search_.tell(trial, tune::TrialState::kFail);
  if (++failures_ >= kMostFailures) {
    throw Error(fmt::format("{} trials in a row failed; the last: {}", kMostFailures, reason));
  }
}

}  // namespace

std::string worker_name(int64_t process) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return fmt::format("{}:{}", host.data(), process);
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

int64_t worker_threads(const StaticConfig& config) {
  if (config.base.threads > 0) return config.base.threads;
  return std::max<int64_t>(1, machine::thread_count(0).count / config.budget.workers);
}

int run_worker(const StaticConfig& config, const WorkerContext& context, run::Cache& cache) {
  return Worker(config, context, cache).run();
}

void warm_cache(const StaticConfig& config, run::Cache& cache) {
  run::Config base = config.base;
  base.threads = 1;  // OpenMP's threads would be missing in the forks
  const run::RunTokenizer tokenizer = cache.tokenizer(base);
  run::load_data(base, tokenizer, cache);
  cache.release(cache.base(base, tokenizer.text,
                           machine::prepare_device(base.device, base.threads, base.seed)));
  machine::return_freed_memory();  // what loading needed for a moment
}

}  // namespace hone::paths
