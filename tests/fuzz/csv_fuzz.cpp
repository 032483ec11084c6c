// The input is a CSV file, read row by row.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "hone/core/error.h"
#include "hone/data/detail/csv_rows.h"
#include "hone/data/detail/sample.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A file in memory, packed where the input begins so, as the reader takes a path.
  std::string path = "/dev/shm/hone-csv-fuzz-" + std::to_string(::getpid()) + ".csv";
  if (size > 1 && data[0] == 0x1f && data[1] == 0x8b) path += ".gz";
  FILE* file = std::fopen(path.c_str(), "wb");
  if (!file) return 0;
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  try {
    hone::data::detail::CsvRows rows(path, ',');
    hone::data::detail::RawRow row;
    while (rows.next(row)) {
      if (row.bad_reason.empty()) hone::data::detail::parse_object(row);
    }
  } catch (const hone::Error&) {
  }
  std::remove(path.c_str());
  return 0;
}
