/// Rows of files that are read line by line.
#pragma once
#include <string>

#include "hone/data/detail/line_reader.h"
#include "hone/data/detail/row_source.h"

namespace hone::data::detail {

/// A row a line, blank ones left out.
class LineRows : public FileRows {
 public:
  explicit LineRows(const std::string& path) : reader_(path, kMaxRow) {}
  bool next(RawRow& row) override;

 private:
  LineReader reader_;
};

/// Lines between blank lines, joined by "\n".
class ParagraphRows : public FileRows {
 public:
  explicit ParagraphRows(const std::string& path) : reader_(path, kMaxRow) {}
  bool next(RawRow& row) override;

 private:
  LineReader reader_;
};

/// A whole file as one document.
class WholeFile : public FileRows {
 public:
  explicit WholeFile(const std::string& path);
  bool next(RawRow& row) override;

 private:
  std::string text_;
  bool done_ = false;
};

/// Whether a file of JSON is one array: of a .json file the first byte says it; a .jsonl file also
/// may begin with a row that is a list, a bad one.
bool is_array_document(const std::string& path);

/// Throws: IoError if the file's first object reaches over several lines: JSON that is valid, but
/// neither an object a line nor an array.
void check_object_a_line(const std::string& path);

}  // namespace hone::data::detail
