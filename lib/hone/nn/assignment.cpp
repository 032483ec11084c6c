#include "hone/nn/assignment.h"

#include <limits>

#include "hone/kernels/dispatch.h"

namespace hone::nn {

std::vector<int64_t> assigned(const at::Tensor& gain) {
  const int64_t n = gain.size(0);
  const auto* cost = kernels::read<double>(gain);
  const double infinity = std::numeric_limits<double>::infinity();
  // Rows and columns count from 1; column 0 holds the row that is being placed.
  std::vector<double> of_row(n + 1, 0), of_column(n + 1, 0);
  std::vector<int64_t> row_of(n + 1, 0), way(n + 1, 0);
  for (int64_t row = 1; row <= n; ++row) {
    row_of[0] = row;
    int64_t column = 0;
    std::vector<double> least(n + 1, infinity);
    std::vector<bool> seen(n + 1, false);
    while (row_of[column] != 0) {
      seen[column] = true;
      const int64_t here = row_of[column];
      int64_t next = 0;
      double step = infinity;
      for (int64_t j = 1; j <= n; ++j) {
        if (seen[j]) continue;
        const double slack = -cost[(here - 1) * n + j - 1] - of_row[here] - of_column[j];
        if (slack < least[j]) {
          least[j] = slack;
          way[j] = column;
        }
        if (least[j] < step) {
          step = least[j];
          next = j;
        }
      }
      for (int64_t j = 0; j <= n; ++j) {
        if (seen[j]) {
          of_row[row_of[j]] += step;
          of_column[j] -= step;
        } else {
          least[j] -= step;
        }
      }
      column = next;
    }
    for (; column != 0; column = way[column]) row_of[column] = row_of[way[column]];
  }
  std::vector<int64_t> columns(n);
  for (int64_t j = 1; j <= n; ++j) columns[row_of[j] - 1] = j - 1;
  return columns;
}

}  // namespace hone::nn
