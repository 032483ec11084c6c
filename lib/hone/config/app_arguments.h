/// The command line that every app of hone has, and the frame of its main().
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <iosfwd>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "hone/config/describe.h"
#include "hone/config/overrides.h"
#include "hone/config/schema.h"
#include "hone/config/writer.h"
#include "hone/core/error.h"

namespace hone::config {

/// Exit codes, the same in every app.
inline constexpr int kDone = 0, kFailure = 1, kUsage = 2, kDiverged = 3;

/// What an app says of itself, and which of the flags that not every app has apply to it.
struct AppInfo {
  std::string name;            ///< "hone-domain"
  std::string summary;         ///< one sentence
  std::string writes = "run";  ///< what --out, which the app needs to run, is the folder of
  bool resume = true;
  bool plan = true;
  bool dump_data = false;
  bool control = false;  ///< --dry-run, --replay, --serve
  bool force = false;
  bool cache_teacher = false;
};

/// The flags. A new knob is a key of the config, not a flag.
struct AppArguments {
  std::string config;                    ///< --config FILE; "" for defaults alone
  std::vector<std::string> set;          ///< --set key=value, in order
  std::string out;                       ///< --out FOLDER; "" if not given
  bool print_config = false;             ///< --print-config
  bool schema = false;                   ///< --schema
  bool help = false;                     ///< --help, -h
  bool version = false;                  ///< --version
  bool resume = false;                   ///< --resume: continue the run in --out
  bool plan = false;                     ///< --plan: predict memory, do not run
  std::optional<std::string> dump_data;  ///< --dump-data FILE: write what would be trained
  bool dry_run = false;                  ///< --dry-run: write decisions, change nothing
  std::optional<std::string> replay;     ///< --replay FILE: repeat the decisions of a run
  std::optional<int64_t> serve;          ///< --serve PORT: a live page
  bool force = false;                    ///< --force: run although the plan says it does not fit
  std::optional<std::string> cache_teacher;  ///< --cache-teacher FOLDER: score its teacher
};

/// A command line that cannot be understood. what() says which argument, and the nearest flag.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Throws: UsageError with every argument that is not understood.
AppArguments parse_arguments(int argc, const char* const* argv, const AppInfo& info);

/// Usage line, summary and flags.
std::string usage(const AppInfo& info);

/// What an app does with its configuration. Each returns the exit code.
template <detail::Visited T>
struct AppCallbacks {
  using Callback = std::function<int(const T&, const AppArguments&)>;
  Callback run;
  Callback plan;                ///< needed if AppInfo::plan
  Callback dump_data;           ///< needed if AppInfo::dump_data
  Callback cache_teacher = {};  ///< needed if AppInfo::cache_teacher
};

namespace detail {

/// Sends the log to `err`, runs `body` and turns what it throws into a line on `err` and an exit
/// code: ConfigError and UsageError 2, anything else 1. `reading`: an IoError is a bad --config
/// file then, so 2.
int guarded(const AppInfo& info, std::ostream& err, const bool& reading,
            const std::function<int()>& body);

/// --help and --version. True if one of them was asked for and answered.
bool answer(const AppInfo& info, const AppArguments& arguments, const Json& schema,
            std::ostream& out);

/// The file to read: --config, or the run folder's own config.json where a run is resumed without.
std::string config_file(const AppArguments& arguments);

}  // namespace detail

/// All of main() but the work: flags, config, --help, --version, --schema, --print-config, then
/// one of the callbacks; exceptions become messages on `err` and exit codes.
///
///   int main(int argc, char** argv) {
///     return run_app<run::Config>(argc, argv, {"hone-domain", "Tunes a base on domains."},
///                                  {.run = run, .plan = plan});
///   }
template <detail::Visited T>
int run_app(int argc, const char* const* argv, const AppInfo& info,
            const AppCallbacks<T>& callbacks, std::ostream& out = std::cout,
            std::ostream& err = std::cerr) {
  bool reading = true;
  return detail::guarded(info, err, reading, [&]() -> int {
    const AppArguments arguments = parse_arguments(argc, argv, info);
    const Json document = schema<T>(info.name, info.summary);
    if (detail::answer(info, arguments, document, out)) return kDone;
    const T options = load_config<T>(detail::config_file(arguments), arguments.set);
    if (arguments.print_config) {
      out << to_json(options).dump(2) << "\n";
      return kDone;
    }
    reading = false;
    if (arguments.plan) return callbacks.plan(options, arguments);
    if (arguments.dump_data) return callbacks.dump_data(options, arguments);
    if (arguments.cache_teacher) return callbacks.cache_teacher(options, arguments);
    if (arguments.out.empty()) {
      throw UsageError("--out is needed: the folder that the " + info.writes + " writes");
    }
    return callbacks.run(options, arguments);
  });
}

}  // namespace hone::config
