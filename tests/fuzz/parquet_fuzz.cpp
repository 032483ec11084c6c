// The input is a Parquet file, read row by row.
#include <cstdint>
#include <string_view>

#include "hone/core/error.h"
#include "hone/data/detail/parquet_rows.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    hone::data::detail::ParquetRows rows("input", bytes);
    hone::data::detail::RawRow row;
    for (int i = 0; i < 10000 && rows.next(row); ++i) {
    }
  } catch (const hone::IoError&) {
  }
  return 0;
}
