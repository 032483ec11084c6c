#include "hone/paths/dynamic/mode.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/json.h"
#include "hone/core/log.h"
#include "hone/io/atomic.h"

namespace hone::paths {
namespace {

constexpr const char* kModeFile = "mode.json";
constexpr const char* kReplayFile = "replay.jsonl";

/// Throws: ConfigError for flags other than those with which the run was begun.
void check_flags(const DynamicMode& given, bool dry_run, const std::optional<std::string>& replay) {
  std::vector<Problem> problems;
  const char* const kAnother = "; leave the flag out, or begin a new run in another --out";
  if (given.dry_run && !dry_run) {
    problems.push_back({"--dry-run", std::string("the run was begun without it") + kAnother});
  }
  if (given.replay && !replay) {
    problems.push_back({"--replay", std::string("the run was begun without it") + kAnother});
  } else if (given.replay && read_file(*given.replay) != read_file(*replay)) {
    problems.push_back({"--replay", *given.replay + " holds other decisions than " + *replay +
                                        ", with which the run was begun" + kAnother});
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

}  // namespace

DynamicMode settle_mode(const io::RunFolder& folder, DynamicMode given) {
  const std::string copy = folder.file(kReplayFile);
  if (!folder.resumed() || !std::filesystem::exists(folder.file(kModeFile))) {
    if (given.replay) io::replace_file_atomically(copy, read_file(*given.replay));
    folder.write_json(kModeFile, {{"dry_run", given.dry_run},
                                  {"replay", given.replay ? Json(*given.replay) : Json(nullptr)}});
    return given;
  }
  const Json mode = read_json_file(folder.file(kModeFile));
  const bool dry_run = mode.at("dry_run");
  std::optional<std::string> replay;
  if (!mode.at("replay").is_null()) replay = copy;
  check_flags(given, dry_run, replay);
  if (dry_run && !given.dry_run) log_info("a dry run, as it was begun");
  if (replay && !given.replay) {
    log_info("repeats the decisions of " + mode.at("replay").get<std::string>() +
             ", as it was begun");
  }
  given.dry_run = dry_run;
  given.replay = std::move(replay);
  return given;
}

}  // namespace hone::paths
