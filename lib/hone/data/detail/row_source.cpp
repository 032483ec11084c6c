#include "hone/data/detail/row_source.h"

#include <algorithm>
#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/data/detail/line_reader.h"

namespace hone::data::detail {
namespace {

constexpr size_t kMaxRow = size_t{16} << 20;
constexpr size_t kMaxArrayFile = size_t{8} << 30;
constexpr size_t kMaxTextFile = size_t{256} << 20;
constexpr const char* kBlank = " \t\r\n";

std::string too_long(size_t limit) {
  return "row is longer than " + std::to_string(limit) + " bytes";
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(kBlank) == std::string_view::npos;
}

/// A row a line, blank ones left out.
class LineRows : public FileRows {
 public:
  explicit LineRows(const std::string& path) : reader_(path, kMaxRow) {}

  bool next(RawRow& row) override {
    while (true) {
      const auto got = reader_.next(row.bytes);
      if (got == LineReader::Got::kEnd) return false;
      row.line = reader_.line();
      row.bad_reason = got == LineReader::Got::kTooLong ? too_long(kMaxRow) : "";
      if (!row.bad_reason.empty() || !is_blank(row.bytes)) return true;
    }
  }

 private:
  LineReader reader_;
};

/// Lines between blank lines, joined by "\n".
class ParagraphRows : public FileRows {
 public:
  explicit ParagraphRows(const std::string& path) : reader_(path, kMaxRow) {}

  bool next(RawRow& row) override {
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

 private:
  LineReader reader_;
};

/// A whole file as one document.
class WholeFile : public FileRows {
 public:
  explicit WholeFile(const std::string& path) : text_(read_file(path, kMaxTextFile)) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.erase(0, 3);
  }

  bool next(RawRow& row) override {
    if (done_) return false;
    done_ = true;
    row.line = 1;
    row.bad_reason.clear();
    row.bytes = std::move(text_);
    return !row.bytes.empty();
  }

 private:
  std::string text_;
  bool done_ = false;
};

/// The first byte of a file that is not blank, or 0.
char first_byte(const std::string& path) {
  LineReader reader(path, 4096);
  std::string line;
  while (reader.next(line) != LineReader::Got::kEnd) {
    const size_t at = line.find_first_not_of(kBlank);
    if (at != std::string::npos) return line[at];
  }
  return 0;
}

}  // namespace

ArrayRows::ArrayRows(std::string text, std::string path)
    : text_(std::move(text)), path_(std::move(path)) {
  if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
  skip_space();
  ++at_;
}

void ArrayRows::fail(const std::string& reason) const {
  throw IoError(path_, "line " + std::to_string(line_) + ": " + reason);
}

void ArrayRows::skip_space() {
  for (; at_ < text_.size() && std::string_view(kBlank).find(text_[at_]) != std::string::npos;
       ++at_) {
    line_ += text_[at_] == '\n';
  }
}

/// Advances over one element and the white space behind it.
std::string_view ArrayRows::element() {
  const size_t begin = at_;
  int64_t depth = 0;
  bool in_string = false;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    line_ += c == '\n';
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
    files_.push_back(std::make_shared<RowFile>(RowFile{entry.file, entry.format}));
  } else {
    for (const std::string& path : options.files) {
      files_.push_back(std::make_shared<RowFile>(RowFile{path, {.format = options.format}}));
    }
  }
}

std::vector<std::string> RowSource::paths() const {
  std::vector<std::string> paths;
  for (const auto& file : files_) paths.push_back(file->path);
  return paths;
}

std::unique_ptr<FileRows> RowSource::open(const RowFile& file, bool& plain) const {
  const std::string ending = std::filesystem::path(file.path).extension();
  plain = ending == ".txt";
  if (plain) {
    const Format format = file.format.format;
    if (format != Format::kAuto && format != Format::kText) {
      throw Error(file.path + ": a .txt file has format text, not " + enum_name(format));
    }
    if (unit_ == TextUnit::kParagraph) return std::make_unique<ParagraphRows>(file.path);
    if (unit_ == TextUnit::kLine) return std::make_unique<LineRows>(file.path);
    return std::make_unique<WholeFile>(file.path);
  }
  if (ending == ".jsonl") return std::make_unique<LineRows>(file.path);
  if (ending != ".json") {
    throw Error(file.path + ": expected a file ending in .jsonl, .json or .txt");
  }
  if (first_byte(file.path) != '[') return std::make_unique<LineRows>(file.path);
  return std::make_unique<ArrayRows>(read_file(file.path, kMaxArrayFile), file.path);
}

bool RowSource::next(RawRow& row) {
  if (left_ && *left_ <= 0) return false;
  while (file_ < files_.size()) {
    if (!rows_) rows_ = open(*files_[file_], plain_);
    if (rows_->next(row)) {
      row.file = files_[file_];
      row.plain = plain_;
      if (left_) --*left_;
      return true;
    }
    rows_.reset();
    ++file_;
  }
  return false;
}

}  // namespace hone::data::detail
