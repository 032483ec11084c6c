/// Going on with the run that a folder holds: what must be as it was, and what may be longer.
#pragma once
#include <functional>

#include "hone/core/json.h"
#include "hone/io/run_folder.h"
#include "hone/run/context.h"

namespace hone::run {

/// The resolved configuration of an older run with the keys that came since at their defaults.
using Reread = std::function<Json(const Json& config)>;

/// Checks that a resumed run is the one that was begun: the same configuration, but that
/// train.steps (or train.epochs) may be higher. A run that has ended is then opened again: its
/// report goes, and it goes on from its newest checkpoint, the learning rate that of the longer
/// schedule from there on. manifest.json lists it under "lengthened". Nothing for a new folder.
/// Throws: ConfigError naming each key that differs, and where a run cannot be lengthened: it
///   diverged, was stopped early, or keeps no checkpoint.
void reopen(io::RunFolder& folder, const Json& config, const Reread& reread);

/// Checks that the base's weights and the data are those of `then`, the manifest with which the run
/// was begun. Throws: ConfigError.
void check_same_inputs(const Json& then, const Json& now);

/// What is told of a run that has ended already, from its report.json: its ending is its exit code
/// once more.
Report ended_report(const io::RunFolder& folder);

}  // namespace hone::run
