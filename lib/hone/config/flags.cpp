#include "hone/config/flags.h"

#include <algorithm>
#include <cxxopts.hpp>

#include "hone/core/json.h"
#include "hone/core/version.h"

namespace hone::config::detail {
namespace {

std::string flag_name(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return key;
}

cxxopts::Options make_options(const AppInfo& info, const std::vector<Flag>& flags,
                              const std::string& positional) {
  cxxopts::Options options(info.name, info.summary);
  options.set_width(100);
  auto add = options.add_options();
  for (const Flag& flag : flags) {
    const std::string help = flag.help + (flag.standard.empty() ? "" : " [" + flag.standard + "]");
    if (flag.toggle) {
      add(flag_name(flag.key), help);
    } else {
      add(flag_name(flag.key), help, cxxopts::value<std::string>(), flag.text ? "TEXT" : "NUMBER");
    }
  }
  add("h,help", "Print this, and leave");
  add("version", "Print the version, and leave");
  if (!positional.empty()) {
    options.parse_positional({flag_name(positional)});
    options.positional_help("[" + positional + "]").show_positional_help();
  }
  options.allow_unrecognised_options();  // collected, so that all of them are reported at once
  return options;
}

[[noreturn]] void refuse(const std::vector<std::string>& arguments,
                         const std::vector<Flag>& flags) {
  std::vector<std::string> known = {"--help", "--version"};
  for (const Flag& flag : flags) known.push_back("--" + flag_name(flag.key));
  std::string reason;
  for (const std::string& argument : arguments) {
    if (!reason.empty()) reason += '\n';
    const std::string flag = argument.substr(0, argument.find('='));
    reason += argument.starts_with("-") ? "unknown flag " + flag + did_you_mean(flag, known)
                                        : "unexpected argument \"" + argument + "\"";
  }
  throw UsageError(reason);
}

Json value_of(const Flag& flag, const std::string& text) {
  if (flag.text) return text;
  try {
    return parse_json(text, "flag");
  } catch (const IoError&) {
    return text;  // the reader says what was expected
  }
}

}  // namespace

std::optional<Json> read_flags(int argc, const char* const* argv, const AppInfo& info,
                               const std::vector<Flag>& flags, const std::string& positional,
                               std::ostream& out) {
  try {
    cxxopts::Options options = make_options(info, flags, positional);
    const cxxopts::ParseResult parsed = options.parse(argc, argv);
    if (!parsed.unmatched().empty()) refuse(parsed.unmatched(), flags);
    if (parsed.count("help")) {
      out << options.help();
      return std::nullopt;
    }
    if (parsed.count("version")) {
      out << info.name << " " << hone::version() << "\n";
      return std::nullopt;
    }
    Json document = Json::object();
    for (const Flag& flag : flags) {
      const std::string name = flag_name(flag.key);
      if (parsed.count(name) == 0) continue;
      if (parsed.count(name) > 1) throw UsageError("--" + name + " is given twice");
      document[flag.key] = flag.toggle ? Json(parsed[name].as<bool>())
                                       : value_of(flag, parsed[name].as<std::string>());
    }
    return document;
  } catch (const cxxopts::exceptions::exception& error) {
    throw UsageError(error.what());
  }
}

ConfigError with_flag_names(const ConfigError& error) {
  std::vector<Problem> problems = error.problems();
  for (Problem& problem : problems) {
    if (problem.path.starts_with("/")) problem.path = "--" + flag_name(problem.path.substr(1));
  }
  return ConfigError(std::move(problems));
}

}  // namespace hone::config::detail
