/// Reading a JSON object that another program wrote, key by key. hone's own recipes are read by
/// hone/config instead.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/core/json.h"

namespace hone {

/// A value as messages quote it, at most 60 bytes: `"qwen"`, `2.5`, `an object`, `a list`.
std::string shown(const Json& value);

/// The integer that a JSON value holds, if it lies in [min, max].
std::optional<int64_t> integer_in(const Json& value, int64_t min, int64_t max);

/// "a; b; c": problems in one message.
std::string joined(const std::vector<std::string>& problems);

/// The members of one JSON object. Keys that are absent and keys that are null are one: such files
/// have either. A problem reads "<JSON pointer>: <message>"; the first one throws, or all are
/// gathered. Each reader without "required_" gives nullopt for an absent key.
class Keys {
 public:
  /// The first problem throws IoError(source, problem). `object` must outlive this, `place` is its
  /// JSON pointer.
  Keys(const Json& object, std::string source, std::string place);
  /// Problems go to `problems`; what was to be read is then absent, or the least or emptiest value.
  Keys(const Json& object, std::string place, std::vector<std::string>& problems);

  /// An object that lies in this one, `step` ("a", "a/3") below it.
  Keys below(const Json& object, const std::string& step) const;

  const std::string& source() const { return source_; }
  const std::string& place() const { return place_; }

  /// The value, or nullptr.
  const Json* find(std::string_view key);
  /// Whether the key is there, if only as null.
  bool has(std::string_view key) const { return object_.contains(key); }

  std::optional<int64_t> integer(std::string_view key, int64_t min, int64_t max);
  std::optional<double> number(std::string_view key, double min, double max);
  std::optional<bool> flag(std::string_view key);
  std::optional<std::string> text(std::string_view key);
  /// All integers of a list, or none.
  std::vector<int64_t> integers(std::string_view key, int64_t min, int64_t max);

  int64_t required_integer(std::string_view key, int64_t min, int64_t max);
  double required_number(std::string_view key, double min, double max);
  bool required_flag(std::string_view key);
  std::string required_text(std::string_view key);
  /// The one code point that the text `key` holds.
  char32_t required_character(std::string_view key);
  const Json& required_list(std::string_view key);
  const Json& required_object(std::string_view key);
  /// Which of `names` the text `key` is.
  size_t required_choice(std::string_view key, std::initializer_list<std::string_view> names);

  void problem(std::string_view key, const std::string& message) const;
  void problem(const std::string& message) const;  ///< of the object itself

  /// The first key that nothing asked for is a problem: a field that is not understood is not
  /// guessed at.
  void done() const { only(asked_); }
  /// The first key outside `known` is a problem.
  void only(const std::vector<std::string>& known) const;

 private:
  const Json* required(std::string_view key);
  void expected(std::string_view key, const char* what, const Json& value) const;
  std::optional<int64_t> integer_of(const Json& value, std::string_view key, int64_t min,
                                    int64_t max) const;

  const Json& object_;
  std::string source_, place_;
  std::vector<std::string>* problems_ = nullptr;
  std::vector<std::string> asked_;
};

}  // namespace hone
