/// Rows of CSV and TSV files.
#pragma once
#include <string>
#include <vector>

#include "hone/data/detail/byte_source.h"
#include "hone/data/detail/row_source.h"

namespace hone::data::detail {

/// RFC 4180: fields between delimiters, in quotes where they hold one, a quote or a line break,
/// quotes doubled; lines end in "\n" or "\r\n". The first record names the columns. A row is a JSON
/// object of strings; a record with another number of fields is a bad row.
class CsvRows : public FileRows {
 public:
  /// Throws: IoError if there is no header or it names a column twice.
  CsvRows(const std::string& path, char delimiter);
  bool next(RawRow& row) override;

 private:
  /// Reads a record into fields_ or says in `bad` why not; false at the end.
  bool read_record(std::string& bad);
  int peek();
  int take();
  void read_quoted(std::string& field, std::string& bad);

  std::string path_;
  ByteSource source_;
  char delimiter_;
  std::string buffer_;
  size_t at_ = 0;
  int64_t line_ = 1;         ///< of the next byte
  int64_t record_line_ = 1;  ///< where the last record began
  std::vector<std::string> header_, fields_;
  size_t size_ = 0;  ///< bytes of the record
};

}  // namespace hone::data::detail
