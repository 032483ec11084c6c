#include "hone/serve/detail/run_tail.h"

#include <fmt/format.h>

#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/run_folder.h"

namespace hone::serve::detail {
namespace {

namespace fs = std::filesystem;
using End = io::JsonTail::End;

/// A report is small; a hostile one is not read for its ending.
constexpr JsonLimits kReportLimits = {.max_bytes = size_t{8} << 20};

/// A string at the top of a JSON file; "" if there is none.
std::string text_in(const std::string& path, const char* key) {
  try {
    const Json json = read_json_file(path, kReportLimits);
    return json.is_object() && json.contains(key) && json[key].is_string()
               ? json[key].get<std::string>()
               : "";
  } catch (const IoError&) {
    return "";
  }
}

}  // namespace

RunTail::RunTail(const std::string& folder)
    : folder_(folder),
      metrics_(folder + "/" + io::kMetricsFile),
      decisions_(folder + "/" + io::kDecisionsFile) {}

bool RunTail::refresh() {
  const std::string state = state_;
  const bool behind = behind_;
  bool changed = false;
  std::string problem;
  try {
    changed = read_rows();
  } catch (const IoError& error) {
    behind_ = false;
    problem = fmt::format("; {}", error.what());
  }
  state_ = read_state() + problem;
  return changed || state_ != state || behind_ != behind;
}

bool RunTail::read_rows() {
  bool changed = false;
  const End metrics = metrics_.read([&](const Json& row) {
    curves_.add_row(row);
    changed = true;
  });
  const End decisions = decisions_.read([&](const Json& row) {
    curves_.add_decision(row);
    changed = true;
  });
  behind_ = metrics != End::kReached || decisions != End::kReached;
  if (metrics != End::kRewound && decisions != End::kRewound) return changed;
  *this = RunTail(folder_);
  read_rows();
  return true;
}

std::string RunTail::read_state() {
  const std::string report = folder_ + "/" + io::kReportFile;
  std::error_code no_report, no_metrics;
  const auto reported = fs::last_write_time(report, no_report);
  const auto measured = fs::last_write_time(folder_ + "/" + io::kMetricsFile, no_metrics);
  // The report of a run that was gone on with is older than its rows.
  ended_ = !no_report && (no_metrics || reported >= measured);
  std::string state = "running";
  if (ended_) {
    const std::string ending = text_in(report, "ending");
    state = ending.empty() ? "ended" : "ended: " + ending;
  }
  const size_t broken = metrics_.broken() + decisions_.broken();
  if (broken > 0) state += fmt::format("; {} lines are no JSON and were passed over", broken);
  return state;
}

std::string RunTail::title() const {
  const std::string about = text_in(folder_ + "/" + io::kConfigFile, "about");
  return about.empty() ? fs::path(folder_).lexically_normal().filename().string() : about;
}

}  // namespace hone::serve::detail
