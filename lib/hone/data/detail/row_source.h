/// The raw rows of a data set's files, in order.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hone/data/detail/columns.h"
#include "hone/data/detail/row_format.h"
#include "hone/data/options.h"

namespace hone::data::detail {

/// Most bytes of a row.
inline constexpr size_t kMaxRow = size_t{16} << 20;

/// Why a row of more bytes than `limit` is bad.
std::string too_long(size_t limit);

/// A file and how its rows are read.
struct RowFile {
  std::string path;
  RowFormat format;
  std::shared_ptr<const ColumnMap> columns;  ///< null where rows have the formats' own names
};

/// A row as it lies in its file.
struct RawRow {
  std::shared_ptr<const RowFile> file;
  int64_t line = 0;        ///< where it begins; of a Parquet file the row's number
  int64_t column = 0;      ///< characters before it on that line
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

/// Streams the rows of all files that the options name (list_files): lines of .jsonl, elements of
/// an array or lines of .json, units of .txt, records of .csv and .tsv, rows of .parquet; packed
/// ones (.gz) as what they unpack to. Blank lines are no rows.
class RowSource {
 public:
  /// Throws: IoError and Error for a data set that cannot be read: a missing file, an unknown
  /// ending, a broken dataset_info.json.
  explicit RowSource(const DatasetOptions& options);

  /// Throws: IoError.
  bool next(RawRow& row);
  /// The files that rows come from, in order.
  std::vector<std::string> paths() const;

  /// After the last row. Throws: Error if no row had one of the columns of DatasetOptions::columns.
  void check_columns() const;

 private:
  std::unique_ptr<FileRows> open(const RowFile& file, bool& plain) const;
  std::unique_ptr<FileRows> open_text(const RowFile& file) const;

  TextUnit unit_;
  std::vector<std::shared_ptr<const RowFile>> files_;
  std::shared_ptr<const ColumnMap> columns_;
  std::optional<int64_t> left_;  ///< rows still to be read
  bool started_ = false;
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
  void count_line();
  std::string_view element();

  std::string text_;
  std::string path_;
  size_t at_ = 0;
  int64_t line_ = 1;
  size_t line_begin_ = 0;
  bool first_ = true;
};

}  // namespace hone::data::detail
