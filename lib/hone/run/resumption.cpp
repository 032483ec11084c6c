#include "hone/run/resumption.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/difference.h"
#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/run/compute.h"
#include "hone/run/manifest.h"
#include "hone/run/report.h"
#include "hone/train/resume.h"

namespace hone::run {
namespace {

constexpr const char* kReportPage = "report.html";

/// Keys of which a resumed run may have more.
constexpr const char* kLengths[] = {"/train/steps", "/train/epochs"};

struct Lengthening {
  std::string key;
  Json before, now;
};

double number_at(const Json& config, const std::string& path) {
  const Json::json_pointer pointer(path);
  if (!config.contains(pointer) || !config.at(pointer).is_number()) return 0;
  return config.at(pointer).get<double>();
}

/// What makes the run longer, if anything. Throws: ConfigError for what else differs.
std::optional<Lengthening> compare(const Json& then, const Json& now) {
  std::vector<Problem> problems;
  std::optional<Lengthening> longer;
  for (Problem& problem :
       differences(then, now,
                   "differs from the run that is resumed; give it the run's own config.json, or "
                   "begin a new run in another --out")) {
    const std::string& path = problem.path;
    const bool length =
        std::find(std::begin(kLengths), std::end(kLengths), path) != std::end(kLengths);
    const double before = number_at(then, path), after = number_at(now, path);
    if (length && before > 0 && after > before) {
      longer = {path, then.at(Json::json_pointer(path)), now.at(Json::json_pointer(path))};
      continue;
    }
    if (length && before > 0) {
      problem.message = fmt::format(
          "was {} when the run was begun, and a resumed run can only "
          "become longer; got {}",
          before, after);
    }
    problems.push_back(std::move(problem));
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
  return longer;
}

[[noreturn]] void refuse(const Lengthening& longer, const std::string& why) {
  throw ConfigError({{longer.key, "the run cannot become longer: " + why}});
}

/// Throws: ConfigError unless the run, which has ended, ended at its last step with a checkpoint to
/// go on from.
void check_can_go_on(io::RunFolder& folder, const Lengthening& longer, const Json& then) {
  const Json report = read_json_file(folder.file(io::kReportFile));
  const std::string ending = report.at("ending");
  if (ending_named(ending) != train::Ending::kDone) {
    refuse(longer, fmt::format("it has ended already ({})", ending));
  }
  const auto done = report.at("steps").get<int64_t>();
  const auto wanted = static_cast<int64_t>(number_at(then, "/train/steps"));
  if (done < wanted) {
    refuse(longer, fmt::format("its controllers stopped it at step {} of {}", done, wanted));
  }
  if (train::checkpoint_phase(folder) != train::kMainPhase) {
    refuse(longer,
           "it keeps no checkpoint to go on from (train.save_every); begin a new run from "
           "its model/ instead");
  }
}

void remember(const io::RunFolder& folder, const Lengthening& longer, int64_t step) {
  const std::string file = folder.file(kManifestFile);
  if (!std::filesystem::exists(file)) return;  // nothing has been trained
  Json manifest = read_json_file(file);
  manifest[kLengthened].push_back(
      {{"key", longer.key}, {"from", longer.before}, {"to", longer.now}, {"at_step", step}});
  folder.write_json(kManifestFile, manifest);
}

}  // namespace

void reopen(io::RunFolder& folder, const Json& config, const Reread& reread) {
  if (!folder.resumed() || !std::filesystem::exists(folder.file(io::kConfigFile))) return;
  Json begun = read_json_file(folder.file(io::kConfigFile));
  complete_compute(begun, config);
  const Json then = reread(begun);
  const auto longer = compare(then, config);
  if (!longer) return;
  const bool ended = std::filesystem::exists(folder.file(io::kReportFile));
  if (ended) check_can_go_on(folder, *longer, then);
  const auto newest = folder.newest();
  const int64_t step = newest ? newest->step : 0;
  remember(folder, *longer, step);
  // The report first: without it the run goes on in its old length if the next line is not reached.
  for (const char* file : {io::kReportFile, kReportPage}) {
    std::filesystem::remove(folder.file(file));
  }
  folder.write_json(io::kConfigFile, config);
  log_info(
      fmt::format("the run becomes longer: {} is {} instead of {}; it goes on from step {}, "
                  "and from there the learning rate is that of a schedule over the new length",
                  longer->key, longer->now.dump(), longer->before.dump(), step));
}

void check_same_inputs(const Json& then, const Json& now) {
  std::vector<Problem> problems;
  const auto check = [&](const std::string& key, const std::string& what, const Json& old,
                         const Json& present) {
    if (old.is_null() || old == present) return;
    problems.push_back({key, fmt::format("{} differ from those that the run was begun with (hash "
                                         "{} then, {} now); put them back, or begin a new run in "
                                         "another --out",
                                         what, old.dump(), present.dump())});
  };
  check("/model", "the weights of the base", then.value("base_weights", Json()),
        now.at("base_weights"));
  for (const char* part : {"train", "held_out"}) {
    const Json& present = now.at("data").at(part);
    const Json old = then.value("data", Json::object()).value(part, Json::array());
    for (size_t i = 0; i < std::min(old.size(), present.size()); ++i) {
      check(fmt::format("/data/{}/{}", part, i),
            fmt::format("the documents of {}", present[i].at("name").get<std::string>()),
            old[i].value("hash", Json()), present[i].at("hash"));
    }
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

Report ended_report(const io::RunFolder& folder) {
  Report report{.json = read_json_file(folder.file(io::kReportFile))};
  const std::string ending = report.json.at("ending");
  report.ending = ending_named(ending);
  report.exit_code = exit_code({.ending = report.ending});
  report.summary = fmt::format("the run in {} has ended already ({})", folder.path(), ending);
  if (report.ending == train::Ending::kDiverged) {
    report.summary +=
        "; it wrote no model: lower train.lr or mend its data, and begin a new run "
        "in another --out";
  }
  return report;
}

}  // namespace hone::run
