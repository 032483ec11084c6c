#include "hone/data/detail/text_rows.h"

#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/core/utf8.h"

namespace hone::data::detail {
namespace {

constexpr size_t kMaxTextFile = size_t{256} << 20;
constexpr size_t kMaxProbe = size_t{1} << 20;
constexpr const char* kBlank = " \t\r\n";

bool is_blank(std::string_view line) {
  return line.find_first_not_of(kBlank) == std::string_view::npos;
}

/// Counts the brackets of a JSON text that comes in pieces.
class Balance {
 public:
  void add(std::string_view text) {
    for (const char c : text) {
      if (escaped_) {
        escaped_ = false;
      } else if (in_string_) {
        escaped_ = c == '\\';
        in_string_ = c != '"';
      } else if (c == '"') {
        in_string_ = true;
      } else {
        depth_ += c == '{' || c == '[';
        depth_ -= c == '}' || c == ']';
      }
    }
  }
  bool closed() const { return depth_ <= 0 && !in_string_; }
  bool in_string() const { return in_string_; }

 private:
  int64_t depth_ = 0;
  bool in_string_ = false, escaped_ = false;
};

[[noreturn]] void refuse_document(const std::string& path, const Json& document, bool more) {
  std::string list;
  if (document.is_object() && !more) {
    for (const auto& [key, value] : document.items()) {
      if (value.is_array() && !value.empty() && value.front().is_object()) list = key;
      if (!list.empty()) break;
    }
  }
  const std::string filter = list.empty() ? "." : ".[\"" + shortened(list, 60) + "\"][]";
  throw IoError(path, std::string(more ? "holds JSON objects over several lines each"
                                       : "is one JSON document over several lines") +
                          "; expected one object a line, or an array of objects: jq -c '" + filter +
                          "' " + path + " > rows.jsonl writes lines");
}

}  // namespace

bool LineRows::next(RawRow& row) {
  while (true) {
    const auto got = reader_.next(row.bytes);
    if (got == LineReader::Got::kEnd) return false;
    row.line = reader_.line();
    row.bad_reason = got == LineReader::Got::kTooLong ? too_long(kMaxRow) : "";
    if (!row.bad_reason.empty() || !is_blank(row.bytes)) return true;
  }
}

bool ParagraphRows::next(RawRow& row) {
  row.bytes.clear();
  row.bad_reason.clear();
  std::string line;
  bool any = false;
  while (true) {
    const auto got = reader_.next(line);
    if (got == LineReader::Got::kEnd || (got == LineReader::Got::kLine && is_blank(line))) {
      if (any || got == LineReader::Got::kEnd) return any;
      continue;
    }
    if (!any) row.line = reader_.line();
    if (row.bytes.size() + line.size() > kMaxRow) {
      row.bad_reason = too_long(kMaxRow);
    } else {
      if (any) row.bytes += '\n';
      row.bytes += line;
    }
    any = true;
  }
}

WholeFile::WholeFile(const std::string& path) : text_(read_all(path, kMaxTextFile)) {
  if (text_.starts_with("\xef\xbb\xbf")) text_.erase(0, 3);
}

bool WholeFile::next(RawRow& row) {
  if (done_) return false;
  done_ = true;
  row.line = 1;
  row.bad_reason.clear();
  row.bytes = std::move(text_);
  return !row.bytes.empty();
}

bool is_array_document(const std::string& path) {
  LineReader reader(path, kMaxRow);
  std::string line;
  auto got = LineReader::Got::kLine;
  do {
    got = reader.next(line);
  } while (got == LineReader::Got::kLine && is_blank(line));
  if (got == LineReader::Got::kEnd) return false;
  const size_t first = line.find_first_not_of(kBlank);
  if (first == std::string::npos || line[first] != '[') return false;
  if (std::filesystem::path(without_gz(path)).extension() == ".json") return true;
  Balance balance;
  balance.add(line);
  const bool whole = got == LineReader::Got::kTooLong || balance.closed();
  bool more = false;
  while (!more && reader.next(line) != LineReader::Got::kEnd) more = !is_blank(line);
  return whole != more;
}

void check_object_a_line(const std::string& path) {
  LineReader reader(path, kMaxRow);
  Balance balance;
  std::string text, line;
  auto got = LineReader::Got::kLine;
  int64_t lines = 0;
  // Whether the second line goes on with the first's object, rather than being a row of its own.
  bool goes_on = false;
  while ((got = reader.next(line)) == LineReader::Got::kLine && text.size() < kMaxProbe) {
    if (is_blank(line)) continue;
    const char first = line[line.find_first_not_of(kBlank)];
    if (lines == 0 && first != '{') return;
    if (lines == 1) goes_on = first != '{' && !balance.in_string();
    ++lines;
    balance.add(line);
    text += line;
    text += '\n';
    if (balance.closed()) break;
  }
  if (lines < 2 || got == LineReader::Got::kTooLong) return;
  if (!balance.closed()) {
    if (goes_on && text.size() >= kMaxProbe) refuse_document(path, nullptr, false);
    return;
  }
  Json document;
  try {
    document = parse_json(text, path);
  } catch (const IoError&) {
    return;  // broken: told of the row, with its place
  }
  bool more = false;
  while (!more && reader.next(line) != LineReader::Got::kEnd) more = !is_blank(line);
  refuse_document(path, document, more);
}

}  // namespace hone::data::detail
