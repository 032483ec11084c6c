/// What a path is given beside its configuration, and what it gives back.
#pragma once
#include <string>

#include "hone/core/json.h"
#include "hone/train/loop.h"

namespace hone::run {

struct Context {
  std::string app;      ///< name of the executable, for the manifest
  std::string out;      ///< run folder
  bool resume = false;  ///< go on with the run in it
  Json config;          ///< the resolved configuration, as config::to_json gives it
  bool force = false;   ///< begin even if the plan says that the memory does not suffice
};

struct Report {
  train::Ending ending = train::Ending::kDone;
  int signal = 0;       ///< that stopped it, for Ending::kSignal
  std::string summary;  ///< one closing line for people
  Json json;            ///< report.json
};

/// The app's exit code: 0 done or stopped by a guard, 3 diverged, 128 + signal.
inline int exit_code(const Report& report) {
  switch (report.ending) {
    case train::Ending::kDiverged:
      return 3;
    case train::Ending::kSignal:
      return 128 + report.signal;
    case train::Ending::kDone:
    case train::Ending::kStopped:
      break;
  }
  return 0;
}

}  // namespace hone::run
