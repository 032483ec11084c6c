#include "hone/io/json_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <string_view>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/log.h"
#include "hone/io/atomic.h"

namespace hone::io {
namespace {

/// Such a file stays far below; read_file refuses what is larger.
constexpr size_t kMaxFileBytes = size_t{4} << 30;
constexpr JsonLimits kRowLimits = {.max_bytes = size_t{16} << 20, .max_depth = 16};

/// Complete lines of a file, without their ends.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string_view::npos;
       begin = end + 1) {
    lines.push_back(text.substr(begin, end - begin));
  }
  return lines;
}

/// The rows with the lines they came from.
struct Row {
  std::string_view line;
  Json json;
};

std::vector<Row> parse_rows(std::string_view text, const std::string& path) {
  const std::vector<std::string_view> lines = lines_of(text);
  std::vector<Row> rows;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    try {
      rows.push_back({lines[i], parse_json(lines[i], path, kRowLimits)});
    } catch (const IoError& error) {
      const std::string place = path + ":" + std::to_string(i + 1);
      if (i + 1 < lines.size()) throw IoError(place, "is no JSON");
      log_warning(place + ": is no JSON; the last line is passed over");
    }
  }
  return rows;
}

std::string line_of(const Json& row) {
  return row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

JsonLines::JsonLines(const std::string& path) : path_(path) {
  file_ = Descriptor(path_, O_RDWR | O_CREAT | O_APPEND, "open");
  const std::string text = read_file(path_, kMaxFileBytes);
  const size_t complete = text.rfind('\n') + 1;  // npos + 1 == 0: no line is complete
  if (complete == text.size()) return;
  log_warning(path_ + ": the last line is torn and cut off");
  cut(complete);
}

bool JsonLines::empty() const { return ::lseek(file_.get(), 0, SEEK_END) == 0; }

void JsonLines::cut(size_t size) {
  if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) throw_errno(path_, "cannot cut");
}

void JsonLines::write(const Json& row) {
  const std::string line = line_of(row);
  const off_t before = ::lseek(file_.get(), 0, SEEK_END);
  try {
    write_all(file_, path_, line);
  } catch (const IoError&) {
    cut(static_cast<size_t>(before));
    throw;
  }
}

bool JsonLines::rewind(int64_t step) {
  const std::string text = read_file(path_, kMaxFileBytes);
  std::string kept;
  for (const Row& row : parse_rows(text, path_)) {
    if (row_step(row.json).value_or(step) > step) continue;
    kept.append(row.line).append("\n");
  }
  if (kept == text) return false;
  replace_text(kept);
  return true;
}

void JsonLines::replace(const std::vector<Json>& rows) {
  std::string text;
  for (const Json& row : rows) text += line_of(row);
  replace_text(text);
}

void JsonLines::replace_text(const std::string& text) {
  replace_file_atomically(path_, text);
  file_ = Descriptor(path_, O_RDWR | O_APPEND, "open");
}

std::vector<Json> read_json_lines(const std::string& path) {
  const std::string text = read_file(path, kMaxFileBytes);
  std::vector<Json> rows;
  for (Row& row : parse_rows(text, path)) rows.push_back(std::move(row.json));
  return rows;
}

std::optional<int64_t> row_step(const Json& row) {
  if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) {
    return std::nullopt;
  }
  return row["step"].get<int64_t>();
}

}  // namespace hone::io
