/// How a run of hone-dynamic treats what its controllers decide.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hone/io/run_folder.h"

namespace hone::paths {

/// The flags of hone-dynamic that are no part of its recipe.
struct DynamicMode {
  bool dry_run = false;               ///< decisions are written, nothing is changed
  std::optional<std::string> replay;  ///< decisions.jsonl of an earlier run, to repeat it
  std::optional<int64_t> serve;       ///< port of the live page; 0 takes any free one
};

/// The mode of the run in `folder`. A new one is written down (mode.json, and replay.jsonl, a copy
/// of the decisions to repeat), and a resumed one goes on as it was begun, whatever flags are left
/// out; `replay` then names the copy.
/// Throws: ConfigError naming a flag that says otherwise.
DynamicMode settle_mode(const io::RunFolder& folder, DynamicMode given);

}  // namespace hone::paths
