/// The raw rows of a data set's files, in order.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hone/data/detail/row_format.h"
#include "hone/data/options.h"

namespace hone::data::detail {

/// A file and how its rows are read.
struct RowFile {
  std::string path;
  RowFormat format;
};

/// A row as it lies in its file.
struct RawRow {
  std::shared_ptr<const RowFile> file;
  int64_t line = 0;
  std::string bytes;       ///< one JSON value, or a document of plain text
  bool plain = false;      ///< bytes are plain text
  std::string bad_reason;  ///< why it cannot be read at all, or ""
};

/// What a file gives. Throws: IoError for a file that cannot be read or is cut off.
class FileRows {
 public:
  virtual ~FileRows() = default;
  /// Fills line, bytes and bad_reason; false at the end, after which it is not called again.
  virtual bool next(RawRow& row) = 0;
};

/// Streams the rows of all files: lines of .jsonl, elements of a .json array (or lines, where the
/// file holds an object a line), units of .txt. Blank lines are no rows.
class RowSource {
 public:
  /// Throws: IoError and Error for a data set that cannot be read: a missing file, an unknown
  /// ending, a broken dataset_info.json.
  explicit RowSource(const DatasetOptions& options);

  /// Throws: IoError.
  bool next(RawRow& row);
  /// The files that rows come from, in order.
  std::vector<std::string> paths() const;

 private:
  std::unique_ptr<FileRows> open(const RowFile& file, bool& plain) const;

  TextUnit unit_;
  std::vector<std::shared_ptr<const RowFile>> files_;
  std::optional<int64_t> left_;  ///< rows still to be read
  size_t file_ = 0;
  std::unique_ptr<FileRows> rows_;
  bool plain_ = false;
};

/// The elements of a JSON array in a text, one at a time, each checked only for balance.
class ArrayRows : public FileRows {
 public:
  /// `text` begins with white space and '['.
  ArrayRows(std::string text, std::string path);
  bool next(RawRow& row) override;

 private:
  [[noreturn]] void fail(const std::string& reason) const;
  void skip_space();
  std::string_view element();

  std::string text_;
  std::string path_;
  size_t at_ = 0;
  int64_t line_ = 1;
  bool first_ = true;
};

}  // namespace hone::data::detail
