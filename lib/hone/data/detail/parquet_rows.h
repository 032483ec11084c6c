/// Rows of Parquet files.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hone/core/file.h"
#include "hone/data/detail/parquet_column.h"
#include "hone/data/detail/row_source.h"

namespace hone::data::detail {

/// A row a record, as a JSON object: texts, numbers, booleans, nulls, structs as objects, lists as
/// arrays, a map as an array of {"key", "value"}. Pages in any encoding that pyarrow writes, packed
/// by snappy, zstd, gzip or not at all; rows and pages of any number, of which one page a column is
/// in memory. docs/data.md says why the reader is ours.
class ParquetRows : public FileRows {
 public:
  /// Throws: IoError.
  explicit ParquetRows(const std::string& path);
  /// Reads `bytes` as the file `path`, for tests. They must outlive it.
  ParquetRows(const std::string& path, std::string_view bytes);
  ~ParquetRows() override;

  bool next(RawRow& row) override;

 private:
  void open(std::string_view bytes);
  bool begin_group();
  void check_row_end();
  void check_growth(size_t bytes);
  Json read_field(const parquet::Node& node);
  Json read_value(const parquet::Node& node);
  Json read_repeated(const parquet::Node& node, const parquet::Node& element);
  parquet::ColumnReader& first_column(const parquet::Node& node) {
    return *columns_[node.first_leaf];
  }
  bool goes_on(const parquet::Node& node);
  void pass_over(const parquet::Node& node);

  std::string path_;
  std::unique_ptr<MappedFile> mapped_;
  std::string_view file_;
  parquet::FileMeta meta_;
  parquet::PageBudget budget_;
  std::vector<std::unique_ptr<parquet::ColumnReader>> columns_;
  size_t group_ = 0;
  int64_t left_in_group_ = 0;
  int64_t row_ = 0;
  uint64_t written_ = 0;
  size_t size_ = 0;  ///< bytes of the row so far
};

}  // namespace hone::data::detail
