/// One worker of a search: a process that takes trials from the study until none is left.
#pragma once
#include <cstdint>
#include <string>

#include "hone/paths/static/config.h"
#include "hone/run/cache.h"

namespace hone::paths {

/// "<host>:<process>", what a worker signs its trials with.
std::string worker_name(int64_t process);

/// Seconds since the epoch, the clock of deadlines.
double now();

/// CPU threads of a trial: the base recipe's, or a worker's share of thread_count(0).
int64_t worker_threads(const StaticConfig& config);

/// Where and how a worker runs.
struct WorkerContext {
  std::string storage;  ///< URL
  std::string trials;   ///< folder of the trials' run folders
  int64_t threads = 1;  ///< of each trial
  double deadline = 0;  ///< seconds since the epoch after which no trial begins; 0: none
};

/// Runs trials until none waits, the deadline passes, or a signal comes. Returns the process's exit
/// code: 0, or signal_exit_code() after giving the interrupted trial back to the study.
/// A trial whose run fails is FAIL with the reason in tune::kError; three in a row end the worker.
/// Throws: Error after that; what the storage throws.
int run_worker(const StaticConfig& config, const WorkerContext& context, run::Cache& cache);

/// Reads what every trial shares into the cache, without starting threads, so that the forks of the
/// calling process share it.
void warm_cache(const StaticConfig& config, run::Cache& cache);

}  // namespace hone::paths
