/// One side of a data set that is split into rows trained on and rows held out.
#pragma once
#include <cstddef>
#include <vector>

#include "hone/data/detail/row_source.h"

namespace hone::data::detail {

/// Which rows of a data set are held out, in their order. Rows of the same text, whatever else they
/// hold, are on one side. Decided by the rows' texts, `options.portion`'s seed and amount alone, no
/// tokenizer; bad rows are not held out. Throws: Error if that many cannot be held out; IoError.
std::vector<bool> held_out_rows(const DatasetOptions& options);

/// The rows of RowSource on the side that `options.portion` names, or all without one.
class PortionRows {
 public:
  /// Throws: as RowSource and held_out_rows.
  explicit PortionRows(const DatasetOptions& options);
  bool next(RawRow& row);
  /// As RowSource's; of a split set the constructor has looked at all rows.
  void check_columns() const {
    if (all_) source_.check_columns();
  }

 private:
  std::vector<bool> held_out_;
  bool wanted_ = false;
  bool all_;
  size_t index_ = 0;
  RowSource source_;
};

}  // namespace hone::data::detail
