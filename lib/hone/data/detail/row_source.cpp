#include "hone/data/detail/row_source.h"

#include <algorithm>
#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/utf8.h"
#include "hone/data/detail/byte_source.h"
#include "hone/data/detail/csv_rows.h"
#include "hone/data/detail/parquet_rows.h"
#include "hone/data/detail/text_rows.h"
#include "hone/data/files.h"

namespace hone::data::detail {
namespace {

constexpr size_t kMaxArrayFile = size_t{8} << 30;
constexpr const char* kBlank = " \t\r\n";

}  // namespace

std::string too_long(size_t limit) {
  return "row is longer than " + std::to_string(limit) + " bytes";
}

ArrayRows::ArrayRows(std::string text, std::string path)
    : text_(std::move(text)), path_(std::move(path)) {
  if (text_.starts_with("\xef\xbb\xbf")) at_ = line_begin_ = 3;
  skip_space();
  ++at_;
}

void ArrayRows::fail(const std::string& reason) const {
  throw IoError(path_, "line " + std::to_string(line_) + ": " + reason);
}

void ArrayRows::count_line() {
  if (text_[at_] != '\n') return;
  ++line_;
  line_begin_ = at_ + 1;
}

void ArrayRows::skip_space() {
  for (; at_ < text_.size() && std::string_view(kBlank).find(text_[at_]) != std::string::npos;
       ++at_) {
    count_line();
  }
}

/// Advances over one element and the white space behind it.
std::string_view ArrayRows::element() {
  const size_t begin = at_;
  int64_t depth = 0;
  bool in_string = false;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    count_line();
    if (in_string) {
      if (c == '\\') ++at_;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (depth > 0 && (c == '}' || c == ']')) {
      --depth;
    } else if (depth == 0 && (c == ',' || c == ']')) {
      return std::string_view(text_).substr(begin, at_ - begin);
    }
  }
  fail("the array's last row has no end; is the file cut off?");
}

bool ArrayRows::next(RawRow& row) {
  skip_space();
  if (at_ >= text_.size()) fail("the array has no end; is the file cut off?");
  if (!first_ && text_[at_] == ',') {
    ++at_;
    skip_space();
  } else if (text_[at_] == ']') {
    ++at_;
    skip_space();
    if (at_ < text_.size()) fail("something follows the array");
    return false;
  }
  first_ = false;
  row.line = line_;
  row.column = static_cast<int64_t>(
      count_characters(std::string_view(text_).substr(line_begin_, at_ - line_begin_)));
  const std::string_view bytes = element();
  const bool fits = bytes.size() <= kMaxRow;
  row.bad_reason = fits ? "" : too_long(kMaxRow);
  row.bytes = fits ? bytes : std::string_view();
  return true;
}

RowSource::RowSource(const DatasetOptions& options)
    : unit_(options.text_unit), left_(options.max_rows) {
  if (options.format == Format::kLlamaFactory) {
    if (options.files.size() != 1 || !options.dataset_info) {
      throw Error("data set \"" + options.label() +
                  "\": format llama_factory needs one file, dataset_info.json, and the name of an "
                  "entry in dataset_info");
    }
    // As there, where no entry can say anything else.
    if (unit_ == TextUnit::kParagraph) unit_ = TextUnit::kLine;
    LlamaFactoryEntry entry = read_dataset_info(options.files.front(), *options.dataset_info);
    if (entry.num_samples) left_ = std::min(left_.value_or(*entry.num_samples), *entry.num_samples);
    for (const std::string& path : list_files({entry.file})) {
      files_.push_back(std::make_shared<RowFile>(RowFile{path, entry.format, nullptr}));
    }
    return;
  }
  if (!options.columns.empty()) columns_ = std::make_shared<ColumnMap>(options.columns);
  for (const std::string& path : list_files(options.files)) {
    files_.push_back(
        std::make_shared<RowFile>(RowFile{path, {.format = options.format}, columns_}));
  }
}

std::vector<std::string> RowSource::paths() const {
  std::vector<std::string> paths;
  for (const auto& file : files_) paths.push_back(file->path);
  return paths;
}

std::unique_ptr<FileRows> RowSource::open_text(const RowFile& file) const {
  const Format format = file.format.format;
  if (format != Format::kAuto && format != Format::kText) {
    throw Error(file.path + ": a .txt file has format text, not " + enum_name(format));
  }
  if (file.columns) throw Error(file.path + ": a .txt file has no columns to name");
  check_is_text(file.path, "text in UTF-8");
  if (unit_ == TextUnit::kParagraph) return std::make_unique<ParagraphRows>(file.path);
  if (unit_ == TextUnit::kLine) return std::make_unique<LineRows>(file.path);
  return std::make_unique<WholeFile>(file.path);
}

std::unique_ptr<FileRows> RowSource::open(const RowFile& file, bool& plain) const {
  const FileForm form = form_of(file.path);
  plain = form == FileForm::kText;
  switch (form) {
    case FileForm::kText:
      return open_text(file);
    case FileForm::kCsv:
    case FileForm::kTsv:
      check_is_text(file.path, form == FileForm::kCsv ? "CSV in UTF-8" : "TSV in UTF-8");
      return std::make_unique<CsvRows>(file.path, form == FileForm::kCsv ? ',' : '\t');
    case FileForm::kParquet:
      return std::make_unique<ParquetRows>(file.path);
    case FileForm::kJson:
      break;
    case FileForm::kUnknown:
      throw Error(file.path + ": expected a file ending in " + file_endings());
  }
  check_is_text(file.path, "JSON in UTF-8");
  if (is_array_document(file.path)) {
    return std::make_unique<ArrayRows>(read_all(file.path, kMaxArrayFile), file.path);
  }
  check_object_a_line(file.path);
  return std::make_unique<LineRows>(file.path);
}

bool RowSource::next(RawRow& row) {
  if (left_ && *left_ <= 0) return false;
  while (file_ < files_.size()) {
    if (!rows_) rows_ = open(*files_[file_], plain_);
    row.column = 0;
    if (rows_->next(row)) {
      row.file = files_[file_];
      row.plain = plain_;
      if (left_) --*left_;
      started_ = true;
      return true;
    }
    rows_.reset();
    ++file_;
  }
  return false;
}

void RowSource::check_columns() const {
  if (columns_ && started_) columns_->check_used();
}

}  // namespace hone::data::detail
