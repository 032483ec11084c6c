/// Strict reading of one JSON object of a tokenizer.json.
#pragma once
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/json.h"

namespace hone::text::detail {

/// The integer that a JSON value holds, if it lies in [min, max].
std::optional<int64_t> integer_in(const Json& value, int64_t min, int64_t max);

/// Reads named members of a component; every message names the file and the place in it. Keys that
/// nothing asked for are errors (done()): a field that is not understood is not guessed at.
class Fields {
 public:
  /// `where` is the JSON pointer of the object, for messages. Throws: IoError if not an object.
  Fields(const Json& object, const std::string& source, std::string where);

  const std::string& type() const { return type_; }  ///< the member "type", "" if there is none
  const std::string& source() const { return source_; }
  const std::string& where() const { return where_; }

  std::string string(std::string_view key);
  std::string string(std::string_view key, std::string fallback);
  std::optional<std::string> optional_string(std::string_view key);  ///< null or absent: nullopt
  bool boolean(std::string_view key);
  bool boolean(std::string_view key, bool fallback);
  int64_t integer(std::string_view key, int64_t min, int64_t max);
  /// The one code point that the string `key` holds.
  char32_t character(std::string_view key);
  const Json& array(std::string_view key);
  const Json& object(std::string_view key);
  /// Null if absent or null.
  const Json* find(std::string_view key);
  /// One of `names`, as an index.
  size_t choice(std::string_view key, std::initializer_list<std::string_view> names);

  [[noreturn]] void fail(std::string_view key, const std::string& reason) const;
  [[noreturn]] void fail(const std::string& reason) const;
  /// Throws: IoError for a key that nothing read.
  void done() const;

 private:
  const Json& need(std::string_view key);

  const Json& object_;
  const std::string& source_;
  std::string where_;
  std::string type_;
  std::vector<std::string_view> used_ = {"type"};
};

}  // namespace hone::text::detail
