// Prints the rows of Parquet files as lines of JSON, for tests/interop/data_parquet.py:
//   parquet_tool FILE...
#include <iostream>

#include "hone/core/error.h"
#include "hone/data/detail/parquet_rows.h"

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    try {
      hone::data::detail::ParquetRows rows(argv[i]);
      for (hone::data::detail::RawRow row; rows.next(row);) {
        std::cout << (row.bad_reason.empty() ? row.bytes : "bad: " + row.bad_reason) << "\n";
      }
    } catch (const hone::Error& error) {
      std::cout << "error: " << error.what() << "\n";
    }
    std::cout << "end\n";
  }
}
