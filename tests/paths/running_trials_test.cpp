#include "hone/paths/static/running_trials.h"

#include <sys/wait.h>
#include <unistd.h>

#include "hone/core/log.h"
#include "hone/core/process.h"
#include "hone/tune/search.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::paths;
using tune::TrialState;

namespace {

/// The identity of a process that has ended.
std::string ended_process() {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string identity = process_identity();
    ::_exit(::write(ends[1], identity.data(), identity.size()) > 0 ? 0 : 1);
  }
  ::waitpid(child, nullptr, 0);
  std::string identity(1000, '\0');
  identity.resize(static_cast<size_t>(::read(ends[0], identity.data(), identity.size())));
  ::close(ends[0]);
  ::close(ends[1]);
  return identity;
}

struct StudyFile : TemporaryFolder {
  std::unique_ptr<tune::Storage> storage = tune::open_storage(path + "/study.db");
  int64_t id = storage->create_study("s", {tune::Direction::kMinimize}).id;

  /// A running trial with these attributes.
  tune::Trial run_by(const tune::Attributes& attrs) const {
    tune::Trial trial = storage->create_trial(id);
    storage->set_trial_attrs(trial.id, attrs);
    return trial;
  }
};

}  // namespace

TEST_CASE(
    "Only trials of processes that have ended for certain are tried again, and that is said") {
  const StudyFile study;
  study.run_by({{tune::kProcess, ended_process()}, {tune::kWorker, "here:1"}});
  study.run_by({{tune::kProcess, process_identity()}, {tune::kWorker, "here:2"}});
  study.run_by({{tune::kProcess, "of another machine"}, {tune::kWorker, "there:3"}});
  study.run_by({{tune::kWorker, "another program"}});
  study.run_by({{tune::kProcess, 5}});
  const tune::Trial done = study.run_by({{tune::kProcess, ended_process()}});
  study.storage->finish(done.id, TrialState::kComplete, {1});

  std::string log;
  set_log_sink([&](LogLevel, std::string_view line) { log += std::string(line) + "\n"; });
  retry_ended(*study.storage, study.id, {});
  set_log_sink({});
  CHECK(log == "trial 0 was run by here:1, which has ended; it is tried again\n");
  std::vector<TrialState> states;
  for (const auto& trial : study.storage->trials(study.id)) states.push_back(trial->state);
  CHECK((states == std::vector{TrialState::kFail, TrialState::kRunning, TrialState::kRunning,
                               TrialState::kRunning, TrialState::kRunning, TrialState::kComplete,
                               TrialState::kWaiting}));
}

TEST_CASE("Who is waited for, and for how long") {
  const StudyFile study;
  const tune::Trial beating = study.run_by({{tune::kWorker, "here:7"}});
  study.storage->heartbeat(beating.id);
  study.run_by({{tune::kWorker, 7}});
  tune::Trial waiting;
  waiting.state = TrialState::kWaiting;
  study.storage->create_trial(study.id, &waiting);
  const auto lines = waited_for(*study.storage, study.id, {.grace_seconds = 90});
  REQUIRE(lines.size() == 2);
  CHECK_THAT(lines[0], Catch::StartsWith("trial 0 is run by here:7, last heard of ") &&
                           Catch::Contains(" ago; it is waited for until it ends, or is silent "
                                           "for ") &&
                           Catch::EndsWith(" (study.grace_seconds)"));
  CHECK_THAT(lines[1], Catch::StartsWith("trial 1 is run by another program, which gives no sign "
                                         "of life: it is waited for 1"));
}
