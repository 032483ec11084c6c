#include "hone/config/app_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <optional>

// --set values hold commas; no argument can hold a NUL.
#define CXXOPTS_VECTOR_DELIMITER '\0'
#include <cxxopts.hpp>

#include "hone/core/log.h"
#include "hone/core/utf8.h"
#include "hone/core/version.h"

namespace hone::config {
namespace {

cxxopts::Options make_options(const AppInfo& info) {
  cxxopts::Options options(info.name, info.summary);
  options.set_width(100);
  auto add = options.add_options();
  add("config", "JSON file with the configuration", cxxopts::value<std::string>(), "FILE");
  add("set", "Set one key of it, as in --set train.lr=3e-4; may be given again",
      cxxopts::value<std::vector<std::string>>(), "KEY=VALUE");
  add("out", "Folder that the run writes", cxxopts::value<std::string>(), "FOLDER");
  if (info.resume) add("resume", "Continue the run in --out from its newest checkpoint");
  if (info.plan) add("plan", "Predict the memory that the run needs, and leave");
  if (info.dump_data) {
    add("dump-data", "Write each token with its label and weight as JSONL, and leave",
        cxxopts::value<std::string>(), "FILE");
  }
  if (info.cache_teacher) {
    add("cache-teacher", "Score the recipe's teacher on its data for distillation.cache, and leave",
        cxxopts::value<std::string>(), "FOLDER");
  }
  if (info.control) {
    add("dry-run", "Write what controllers would decide, and change nothing");
    add("replay", "Repeat the decisions of an earlier run instead of asking the controllers",
        cxxopts::value<std::string>(), "DECISIONS.JSONL");
    add("serve", "Show the run on a page at http://127.0.0.1:PORT; 0 takes any free port",
        cxxopts::value<int64_t>(), "PORT");
  }
  if (info.force) add("force", "Begin even if the plan says that the memory does not suffice");
  add("print-config", "Print the configuration with every default, and leave");
  add("schema", "Print the JSON Schema of the configuration, and leave");
  add("h,help", "Print this and every key of the configuration, and leave");
  add("version", "Print the version, and leave");
  return options;
}

std::vector<std::string> flags(const AppInfo& info) {
  std::vector<std::string> names = {"--config", "--set",  "--out",    "--print-config",
                                    "--schema", "--help", "--version"};
  if (info.resume) names.push_back("--resume");
  if (info.plan) names.push_back("--plan");
  if (info.dump_data) names.push_back("--dump-data");
  if (info.cache_teacher) names.push_back("--cache-teacher");
  if (info.force) names.push_back("--force");
  if (info.control) names.insert(names.end(), {"--dry-run", "--replay", "--serve"});
  return names;
}

[[noreturn]] void refuse(const std::vector<std::string>& arguments, const AppInfo& info) {
  std::string reason;
  for (const std::string& argument : arguments) {
    if (!reason.empty()) reason += '\n';
    if (argument.rfind('-', 0) == 0) {
      const std::string flag = argument.substr(0, argument.find('='));
      reason += "unknown flag " + flag + did_you_mean(flag, flags(info));
    } else {
      reason += "unexpected argument \"" + argument + "\"";
    }
  }
  throw UsageError(reason);
}

/// Flags that make each other void.
void check_together(const cxxopts::ParseResult& parsed, const AppArguments& arguments) {
  if (arguments.help || arguments.version) return;
  for (const char* name : {"config", "out", "dump-data", "cache-teacher", "replay", "serve"}) {
    if (parsed.count(name) > 1) throw UsageError(fmt::format("--{} is given twice", name));
  }
  std::vector<std::string> modes;
  if (arguments.print_config) modes.emplace_back("--print-config");
  if (arguments.schema) modes.emplace_back("--schema");
  if (arguments.plan) modes.emplace_back("--plan");
  if (arguments.dump_data) modes.emplace_back("--dump-data");
  if (arguments.cache_teacher) modes.emplace_back("--cache-teacher");
  if (arguments.resume) modes.emplace_back("--resume");
  if (modes.size() > 1) {
    throw UsageError(fmt::format("only one of {} can be done at a time", fmt::join(modes, ", ")));
  }
  if (arguments.force && !modes.empty() && !arguments.resume) {
    throw UsageError(fmt::format("--force has no effect with {}", modes.front()));
  }
  if (arguments.dry_run && arguments.replay) {
    throw UsageError("only one of --dry-run, --replay can be done at a time");
  }
  if (arguments.serve && (*arguments.serve < 0 || *arguments.serve > 65535)) {
    throw UsageError("--serve needs a port from 0 to 65535");
  }
  if (arguments.resume && arguments.out.empty()) {
    throw UsageError("--resume needs --out, the folder of the run to continue");
  }
}

/// c10's exceptions carry a C++ stack after their message, which says nothing to a user.
std::string without_stack(const std::string& what) {
  return what.substr(0, what.find("\nException raised from "));
}

void report(const AppInfo& info, std::ostream& err, const std::string& text) {
  err << info.name << ": " << printable(text) << std::endl;
}

}  // namespace

AppArguments parse_arguments(int argc, const char* const* argv, const AppInfo& info) {
  cxxopts::Options options = make_options(info);
  options.allow_unrecognised_options();  // collected, so that all of them are reported at once
  try {
    const cxxopts::ParseResult parsed = options.parse(argc, argv);
    if (!parsed.unmatched().empty()) refuse(parsed.unmatched(), info);
    const auto text = [&parsed](const char* name) {
      return parsed.count(name) ? std::optional(parsed[name].as<std::string>()) : std::nullopt;
    };
    const auto flag = [&parsed](const char* name) {
      return parsed.count(name) && parsed[name].as<bool>();
    };
    AppArguments arguments;
    arguments.config = text("config").value_or("");
    if (parsed.count("set")) arguments.set = parsed["set"].as<std::vector<std::string>>();
    arguments.out = text("out").value_or("");
    arguments.print_config = flag("print-config");
    arguments.schema = flag("schema");
    arguments.help = flag("help");
    arguments.version = flag("version");
    arguments.resume = flag("resume");
    arguments.plan = flag("plan");
    arguments.dump_data = text("dump-data");
    arguments.cache_teacher = text("cache-teacher");
    arguments.dry_run = flag("dry-run");
    arguments.force = flag("force");
    arguments.replay = text("replay");
    if (parsed.count("serve")) arguments.serve = parsed["serve"].as<int64_t>();
    check_together(parsed, arguments);
    return arguments;
  } catch (const cxxopts::exceptions::exception& error) {
    throw UsageError(error.what());
  }
}

std::string usage(const AppInfo& info) { return make_options(info).help(); }

namespace detail {

int guarded(const AppInfo& info, std::ostream& err, const bool& reading,
            const std::function<int()>& body) {
  set_log_sink([&err](LogLevel level, std::string_view message) {
    err << (level == LogLevel::kWarning ? "warning: " : "") << message << std::endl;
  });
  try {
    return body();
  } catch (const UsageError& error) {
    report(info, err, std::string(error.what()) + "\nTry " + info.name + " --help");
    return kUsage;
  } catch (const ConfigError& error) {
    const size_t count = error.problems().size();
    report(info, err,
           fmt::format("the configuration has {} problem{}:\n{}", count, count == 1 ? "" : "s",
                       error.what()));
    return kUsage;
  } catch (const std::bad_alloc&) {
    report(info, err, "out of memory");
    return kFailure;
  } catch (const std::exception& error) {
    report(info, err, without_stack(error.what()));
    return reading ? kUsage : kFailure;
  }
}

bool answer(const AppInfo& info, const AppArguments& arguments, const Json& schema,
            std::ostream& out) {
  if (arguments.help) {
    out << usage(info) << "\nKeys of the configuration:\n" << describe_text(schema);
  } else if (arguments.version) {
    out << info.name << " " << hone::version() << "\n";
  } else if (arguments.schema) {
    out << schema.dump(2) << "\n";
  } else {
    return false;
  }
  return true;
}

std::string config_file(const AppArguments& arguments) {
  if (!arguments.config.empty() || !arguments.resume) return arguments.config;
  return arguments.out + "/config.json";
}

}  // namespace detail
}  // namespace hone::config
