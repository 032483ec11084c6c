/// One column of a row group, read page by page.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hone/data/detail/parquet_values.h"

namespace hone::data::detail::parquet {

/// Bytes of pages that are held at once, over all columns.
struct PageBudget {
  int64_t left = int64_t{2} << 30;
};

/// The entries of a column: levels, and a value where the definition level is the highest. Only one
/// page and the dictionary are in memory.
class ColumnReader {
 public:
  /// `file` and `column` must outlive it.
  ColumnReader(std::string_view file, const Chunk& chunk, const Node& column, PageBudget& budget);
  ColumnReader(const ColumnReader&) = delete;
  ~ColumnReader();

  /// Whether an entry is left. Throws: Error for a damaged page.
  bool more();
  /// Levels of the next entry; only while more().
  uint32_t repetition() const { return repetition_; }
  uint32_t definition() const { return definition_; }
  /// The entry's value, null below the highest definition level; goes on to the next.
  Json take();

 private:
  void next_page();
  void begin_data(const PageHeader& header, std::string_view packed);
  void begin_data_v2(const PageHeader& header, std::string_view packed);
  std::string_view keep(std::string page);
  void read_levels();

  std::string_view pages_;  ///< not yet read
  const Chunk& chunk_;
  const Node& column_;
  PageBudget& budget_;
  int64_t held_ = 0;
  std::vector<Json> dictionary_;
  bool has_dictionary_ = false;
  std::string page_;
  std::unique_ptr<Values> values_;
  RunReader repetitions_, definitions_;
  int64_t left_;  ///< entries of the chunk, this one included
  int64_t page_left_ = 0;
  bool ready_ = false;  ///< whether the levels are of the next entry
  uint32_t repetition_ = 0, definition_ = 0;
};

}  // namespace hone::data::detail::parquet
