#include "hone/core/json.h"

#include <algorithm>
#include <unordered_set>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/file_kind.h"
#include "hone/core/names.h"
#include "hone/core/utf8.h"

namespace hone {
namespace {

/// Builds the value from SAX events; unlike nlohmann's own builder it refuses duplicate keys in
/// constant time a key, whatever the object's size.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  Json take() { return std::move(root_); }
  const std::string& reason() const { return reason_; }
  size_t position() const { return position_; }

  bool null() override { return add(Json(nullptr)); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(value)); }
  // Whole numbers beyond 64 bits come here too. They become doubles: files of strangers hold them
  // where hone does not look (transformers' model_max_length is int(1e30)). Who reads an integer
  // asks for is_number_integer().
  bool number_float(number_float_t value, const string_t&) override { return add(Json(value)); }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return fail("binary values are not JSON"); }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    levels_.back().key = std::move(name);
    return levels_.back().keys.insert(levels_.back().key).second ||
           fail(pointer() + ": duplicate key");
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    position_ = position;
    // "[json.exception.<name>] parse error at line 1, column 2: <reason>", or without "parse
    // error".
    std::string_view text = error.what();
    text.remove_prefix(text.find("] ") + 2);
    if (text.starts_with("parse error")) text.remove_prefix(text.find(": ") + 2);
    return fail(readable(text));
  }

 private:
  struct Level {
    Json value;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  /// The parser quotes all of the token that it was reading, as it lies in the file.
  static std::string readable(std::string_view reason) {
    constexpr size_t kMost = 80;
    const std::string_view mark = "last read: \'";
    const size_t at = reason.find(mark);
    if (at == std::string_view::npos || reason.size() < at + mark.size() + kMost) {
      return printable(reason);
    }
    const size_t token = at + mark.size();
    const size_t end = reason.rfind('\'');
    const size_t length = end > token ? end - token : reason.size() - token;
    std::string shown(reason.substr(0, token));
    shown += length > kMost ? "..." + std::string(reason.substr(token + length - kMost, kMost))
                            : std::string(reason.substr(token, length));
    return printable(shown + "'" + std::string(end > token ? reason.substr(end + 1) : ""));
  }

  bool fail(std::string reason) {
    reason_ = std::move(reason);
    return false;
  }

  /// Of the value that comes next.
  std::string pointer() const {
    std::string path;
    for (const Level& level : levels_) {
      path += "/" + (level.value.is_array() ? std::to_string(level.value.size())
                                            : pointer_step(level.key));
    }
    return path.empty() ? "/" : path;
  }

  bool open(Json value) {
    if (levels_.size() >= limits_.max_depth) {
      return fail("nested deeper than " + std::to_string(limits_.max_depth));
    }
    levels_.push_back({std::move(value), {}, {}});
    return count();
  }

  bool close() {
    Json value = std::move(levels_.back().value);
    levels_.pop_back();
    return place(std::move(value));
  }

  bool add(Json value) { return count() && place(std::move(value)); }

  bool count() {
    return ++values_ <= limits_.max_values ||
           fail("more than " + std::to_string(limits_.max_values) + " values");
  }

  bool place(Json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Level& level = levels_.back();
    if (level.value.is_array()) {
      level.value.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      auto& members = static_cast<std::vector<std::pair<const std::string, Json>>&>(
          level.value.get_ref<Json::object_t&>());
      members.emplace_back(std::move(level.key), std::move(value));
    }
    return true;
  }

  const JsonLimits limits_;
  Json root_;
  std::vector<Level> levels_;
  std::string reason_;
  size_t position_ = 0;
  size_t values_ = 0;
};

}  // namespace

std::string place_in(std::string_view text, size_t position) {
  // The parser counts the byte that it stumbled over as read.
  const std::string_view before = text.substr(0, position > 0 ? position - 1 : 0);
  const size_t newline = before.rfind('\n');
  const std::string_view line = before.substr(newline == std::string_view::npos ? 0 : newline + 1);
  return "line " + std::to_string(1 + std::count(before.begin(), before.end(), '\n')) +
         ", column " + std::to_string(1 + count_characters(line));
}

Json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    throw IoError(source, "holds " + std::to_string(text.size()) + " bytes of JSON; the limit is " +
                              std::to_string(limits.max_bytes));
  }
  Builder builder(limits);
  if (Json::sax_parse(text.begin(), text.end(), &builder)) return builder.take();
  if (builder.position() == 0) throw IoError(source, builder.reason());
  throw IoError(source, place_in(text, builder.position()) + ": " + builder.reason());
}

Json read_json_file(const std::string& path, const JsonLimits& limits) {
  const std::string text = read_file(path, limits.max_bytes);
  const std::string kind = binary_kind(text);
  if (!kind.empty()) throw IoError(path, "is a " + kind + " file, not JSON in UTF-8");
  return parse_json(text, path, limits);
}

}  // namespace hone
