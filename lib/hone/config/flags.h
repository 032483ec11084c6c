/// The command line of an app that takes flags instead of a recipe: a struct with visit(), each of
/// its fields a flag ("max_new_tokens" is --max-new-tokens).
#pragma once
#include <functional>
#include <iosfwd>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "hone/config/app_arguments.h"
#include "hone/config/reader.h"
#include "hone/config/writer.h"

namespace hone::config {
namespace detail {

/// One field as a flag.
struct Flag {
  std::string key;  ///< the field's name
  std::string help;
  bool text = false;     ///< the value is taken as it is; otherwise it is read as JSON
  bool toggle = false;   ///< true when given, no value
  std::string standard;  ///< the default, as help shows it; "" for none
};

template <class T>
struct is_text : std::bool_constant<std::is_same_v<T, std::string> || NamedEnum<T>> {};
template <class T>
struct is_text<std::optional<T>> : is_text<T> {};

struct FlagCollector {
  template <class T, class... Args>
  void operator()(const char* name, const T& field, std::string_view help, const Args&...) {
    Flag flag{name, std::string(help), is_text<T>::value, std::is_same_v<T, bool>};
    const Json value = write_value(field);
    if (!flag.toggle && !value.is_null() && value != "") {
      flag.standard = value.is_string() ? value.get<std::string>() : value.dump();
    }
    flags.push_back(std::move(flag));
  }

  std::vector<Flag> flags;
};

/// The flags given, as the document that a reader takes; nullopt if --help or --version was
/// answered on `out`. `positional` is the key that an argument without a flag sets; "" for none.
/// Throws: UsageError.
std::optional<Json> read_flags(int argc, const char* const* argv, const AppInfo& info,
                               const std::vector<Flag>& flags, const std::string& positional,
                               std::ostream& out);

/// The same problems with "--max-new-tokens" for "/max_new_tokens".
ConfigError with_flag_names(const ConfigError& error);

}  // namespace detail

/// All of main() but the work, as run_app: messages on `err`, exit codes.
template <detail::Visited T>
int run_flag_app(int argc, const char* const* argv, const AppInfo& info,
                 const std::string& positional, const std::function<int(const T&)>& run,
                 std::ostream& out = std::cout, std::ostream& err = std::cerr) {
  const bool reading = false;
  return detail::guarded(info, err, reading, [&]() -> int {
    detail::FlagCollector collector;
    const T standard{};
    T::visit(standard, collector);
    const auto document = detail::read_flags(argc, argv, info, collector.flags, positional, out);
    if (!document) return kDone;
    std::optional<T> options;
    try {
      options = read_config<T>(*document);
    } catch (const ConfigError& error) {
      throw detail::with_flag_names(error);
    }
    return run(*options);
  });
}

}  // namespace hone::config
