/// Non-dominated rows of flat matrices, for the multi-objective tools.
#pragma once
#include <cstddef>
#include <vector>

namespace hone::tune::detail {

/// Rows of `width` numbers, one after the other.
struct FlatRows {
  size_t width;
  std::vector<double> data = {};

  size_t size() const { return data.size() / width; }
  const double* operator[](size_t i) const { return data.data() + i * width; }
  double* operator[](size_t i) { return data.data() + i * width; }
  void push(const double* row) { data.insert(data.end(), row, row + width); }
};

/// The distinct rows of a matrix in lexicographic order, and where each row went.
struct SortedRows {
  FlatRows rows;
  std::vector<size_t> first;  ///< for each distinct row the first row that is equal to it
  std::vector<size_t> place;  ///< for each row its distinct row
};

/// All rows must have `width` numbers, none NaN.
SortedRows sort_rows(const std::vector<std::vector<double>>& rows, size_t width);

/// Whether each row is on the front of these, which ascend by their first column at least. Rows
/// that are equal to or dominated by an earlier one are not.
std::vector<bool> front_of_sorted(const FlatRows& rows);

/// The rows that are marked.
FlatRows marked(const FlatRows& rows, const std::vector<bool>& keep);

}  // namespace hone::tune::detail
