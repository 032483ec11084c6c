#include "hone/paths/static/running_trials.h"

#include <fmt/format.h>

#include "hone/core/log.h"
#include "hone/core/process.h"
#include "hone/tune/search.h"
#include "hone/view/format.h"

namespace hone::paths {
namespace {

/// The attribute's text; "" if the trial has none.
std::string text_of(const tune::Trial& trial, const char* key) {
  const auto found = trial.user_attrs.find(key);
  return found != trial.user_attrs.end() && found->second.is_string()
             ? found->second.get<std::string>()
             : "";
}

}  // namespace

void retry_ended(tune::Storage& storage, int64_t study_id, const tune::RetryOptions& options) {
  for (const tune::TrialPtr& trial : storage.trials(study_id)) {
    if (trial->state != tune::TrialState::kRunning ||
        !known_ended(text_of(*trial, tune::kProcess))) {
      continue;
    }
    try {
      storage.fail_and_retry(trial->id, options);
      log_info(fmt::format("trial {} was run by {}, which has ended; it is tried again",
                           trial->number, text_of(*trial, tune::kWorker)));
    } catch (const tune::TrialFinished&) {  // whoever else has noticed was faster
    }
  }
}

std::vector<std::string> waited_for(tune::Storage& storage, int64_t study_id,
                                    const tune::RetryOptions& options) {
  const auto silences = storage.silences(study_id);
  std::vector<std::string> lines;
  for (const tune::TrialPtr& trial : storage.trials(study_id)) {
    if (trial->state != tune::TrialState::kRunning) continue;
    const std::string worker = text_of(*trial, tune::kWorker);
    const auto silence = silences.find(trial->id);
    const std::string who = worker.empty() ? "another program" : worker;
    lines.push_back(
        silence == silences.end()
            ? fmt::format("trial {} is run by {}, which gives no sign of life: it is waited for {}",
                          trial->number, who, view::format_duration(options.grace_seconds))
            : fmt::format("trial {} is run by {}, last heard of {} ago; it is waited for until it "
                          "ends, or is silent for {} (study.grace_seconds)",
                          trial->number, who, view::format_duration(silence->second),
                          view::format_duration(options.grace_seconds)));
  }
  return lines;
}

}  // namespace hone::paths
