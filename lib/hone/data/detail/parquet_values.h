/// The values and levels of a Parquet page, one after another.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hone/core/json.h"
#include "hone/data/detail/parquet_format.h"

namespace hone::data::detail::parquet {

/// Integers of a fixed width in runs: the "RLE / bit-packing hybrid" of levels and dictionary
/// indices. Costs no memory however many the bytes claim.
class RunReader {
 public:
  RunReader() = default;
  RunReader(std::string_view bytes, int width) : bytes_(bytes), width_(width) {}
  /// Throws: Error at the end.
  uint32_t next();

 private:
  void begin_run();

  std::string_view bytes_;
  int width_ = 0;
  size_t at_ = 0;
  uint64_t left_ = 0;
  bool packed_ = false;
  uint32_t value_ = 0;      ///< of a run of equal ones
  std::string_view group_;  ///< of a bit-packed run
  uint64_t bit_ = 0;        ///< in it
};

/// Bits that numbers up to `most` need.
int bits_for(uint32_t most);

/// A stream of a page's values. next() throws Error where they end.
class Values {
 public:
  virtual ~Values() = default;
  virtual Json next() = 0;
};

/// The values of a dictionary page.
std::vector<Json> read_dictionary(const Node& column, std::string_view bytes, int64_t count);

/// The values in `bytes`, which must outlive the result, under an encoding; `dictionary` is the
/// chunk's, or null. Texts are strings, and so are bytes that are valid UTF-8; other bytes, INT96,
/// and numbers that are not finite are null. Throws: Error for an encoding that does not fit.
std::unique_ptr<Values> make_values(const Node& column, int64_t encoding, std::string_view bytes,
                                    const std::vector<Json>* dictionary);

}  // namespace hone::data::detail::parquet
