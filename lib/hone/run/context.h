/// What a path is given beside its configuration, and what it gives back.
#pragma once
#include <string>

#include "hone/core/json.h"
#include "hone/train/loop.h"

namespace hone::run {

class Cache;

struct Context {
  std::string app;         ///< name of the executable, for the manifest
  std::string out;         ///< run folder
  bool resume = false;     ///< go on with the run in it
  bool force = false;      ///< begin even if the plan says that the memory does not suffice
  bool judged = false;     ///< whether it has been judged that the run fits: no plan is made
  Cache* cache = nullptr;  ///< what it shares with other runs of the process; null: nothing
};

/// What came of it.
struct Report {
  int exit_code = 0;    ///< of the app: 0 done or stopped by a part, kDiverged, signal_exit_code()
  std::string summary;  ///< closing lines for people
  Json json;            ///< report.json
  train::Ending ending = train::Ending::kDone;  ///< of a run
};

}  // namespace hone::run
