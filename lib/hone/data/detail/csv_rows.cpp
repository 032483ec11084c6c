#include "hone/data/detail/csv_rows.h"

#include <set>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/core/utf8.h"

namespace hone::data::detail {
namespace {

constexpr int kEnd = -1;
constexpr size_t kMaxColumns = 1000;

std::string shown(const std::string& column) { return "\"" + shortened(column, 60) + "\""; }

}  // namespace

CsvRows::CsvRows(const std::string& path, char delimiter)
    : path_(path), source_(path), delimiter_(delimiter) {
  std::string bad;
  if (!read_record(bad)) throw IoError(path, "is empty: expected a header that names the columns");
  if (!bad.empty()) throw IoError(path, "the header: " + bad);
  header_ = fields_;
  if (header_.front().starts_with("\xef\xbb\xbf")) header_.front().erase(0, 3);
  const size_t other = header_.front().find_first_of(delimiter == ',' ? ";\t" : ",;");
  if (header_.size() == 1 && other != std::string::npos) {
    const char found = header_.front()[other];
    throw IoError(path, "its header is one column, " + shown(header_.front()) +
                            "; are the columns separated by " +
                            (found == '\t' ? std::string("tabs? Name it .tsv")
                                           : std::string("'") + found + "'? Expected " +
                                                 (delimiter == ',' ? "','" : "tabs")));
  }
  std::set<std::string> names;
  for (const std::string& name : header_) {
    if (find_invalid_utf8(name) != std::string::npos) {
      throw IoError(path, "the header is not valid UTF-8");
    }
    if (!names.insert(name).second) {
      throw IoError(path, "the header names the column " + shown(name) + " twice");
    }
  }
}

int CsvRows::peek() {
  if (at_ >= buffer_.size()) {
    at_ = 0;
    if (!source_.read(buffer_, size_t{1} << 18)) return kEnd;
  }
  return static_cast<uint8_t>(buffer_[at_]);
}

int CsvRows::take() {
  const int c = peek();
  if (c == kEnd) return c;
  ++at_;
  line_ += c == '\n';
  return c;
}

/// The rest of a field whose opening quote is taken.
void CsvRows::read_quoted(std::string& field, std::string& bad) {
  const int64_t begin = line_;
  while (true) {
    const int c = take();
    if (c == kEnd) {
      throw IoError(path_, "the quotes opened on line " + std::to_string(begin) +
                               " are never closed; is the file cut off?");
    }
    if (c == '"') {
      if (peek() != '"') break;
      take();
    }
    if (size_ < kMaxRow) field += static_cast<char>(c);
    ++size_;
  }
  const int next = peek();
  if (next != kEnd && next != delimiter_ && next != '\n' && next != '\r' && bad.empty()) {
    bad = "something follows a field's closing quote on line " + std::to_string(line_);
  }
}

bool CsvRows::read_record(std::string& bad) {
  bad.clear();
  // Blank lines are no records.
  while (peek() == '\n' || peek() == '\r') take();
  if (peek() == kEnd) return false;
  record_line_ = line_;
  fields_.assign(1, "");
  size_ = 0;
  bool field_begins = true;
  while (true) {
    const int c = take();
    if (c == kEnd || c == '\n') break;
    if (c == '\r' && (peek() == '\n' || peek() == kEnd)) continue;
    if (c == delimiter_) {
      if (fields_.size() < kMaxColumns) {
        fields_.emplace_back();
      } else {
        bad = "has more than " + std::to_string(kMaxColumns) + " fields";
      }
      field_begins = true;
    } else if (const bool mark = size_ == 3 && fields_.size() == 1 && fields_[0] == "\xef\xbb\xbf";
               c == '"' && (field_begins || (mark && header_.empty()))) {
      read_quoted(fields_.back(), bad);
      field_begins = false;
    } else {
      if (size_ < kMaxRow) fields_.back() += static_cast<char>(c);
      ++size_;
      field_begins = false;
    }
  }
  if (size_ > kMaxRow) bad = too_long(kMaxRow);
  return true;
}

bool CsvRows::next(RawRow& row) {
  row.bytes.clear();
  if (!read_record(row.bad_reason)) return false;
  row.line = record_line_;
  if (row.bad_reason.empty() && fields_.size() != header_.size()) {
    row.bad_reason = "has " + std::to_string(fields_.size()) + " fields, the header names " +
                     std::to_string(header_.size()) + " columns";
  }
  Json object = Json::object();
  for (size_t i = 0; row.bad_reason.empty() && i < fields_.size(); ++i) {
    const size_t invalid = find_invalid_utf8(fields_[i]);
    if (invalid != std::string::npos) {
      row.bad_reason = "column " + shown(header_[i]) + ": byte " + std::to_string(invalid + 1) +
                       " is not valid UTF-8";
    }
    object[header_[i]] = std::move(fields_[i]);
  }
  if (row.bad_reason.empty()) row.bytes = object.dump();
  return true;
}

}  // namespace hone::data::detail
