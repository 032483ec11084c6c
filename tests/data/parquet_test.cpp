// Files that pyarrow wrote (tests/interop/data_parquet.py --fixtures), whole and broken.
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <set>

#include "data/support.h"
#include "hone/core/random.h"
#include "hone/data/detail/parquet_rows.h"

namespace hone::data {
namespace {

using namespace testing;
using Catch::Contains;
using Texts = std::vector<std::string>;

const std::string kFolder = std::string(HONE_SOURCE_DIR) + "/tests/data/parquet/";

std::string bytes_of(const std::string& name) {
  std::ifstream file(kFolder + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Texts rows_of(const std::string& bytes) {
  Texts rows;
  detail::ParquetRows reader("x.parquet", bytes);
  for (detail::RawRow row; reader.next(row);) rows.push_back(row.bytes);
  return rows;
}

TEST_CASE("Parquet rows are the objects that were written: nested lists, nulls, row groups") {
  CHECK(rows_of(bytes_of("hub.parquet")) ==
        Texts{R"({"messages":[{"role":"user","content":"q one"},)"
              R"({"role":"assistant","content":"a one"}],"source":"wiki","tags":["x",null]})",
              R"({"messages":[{"role":"user","content":"q two"},)"
              R"({"role":"assistant","content":"a two"}],"source":"wiki","tags":null})",
              R"({"messages":[{"role":"user","content":"心"},)"
              R"({"role":"assistant","content":"臓"}],"source":null,"tags":[]})"});
  const Texts delta = rows_of(bytes_of("delta.parquet"));
  REQUIRE(delta.size() == 40);
  CHECK(delta[38] == R"({"text":"document 2 of 38","n":38})");
}

TEST_CASE("a data set is read from Parquet files as from JSON Lines") {
  CHECK(read_texts({.files = {kFolder + "hub.parquet"}}) ==
        Texts{"q one", "a one", "q two", "a two", "心", "臓"});
  const DatasetOptions pair{.files = {kFolder + "pair.parquet"},
                            .columns = {{"prompt", "question"}, {"completion", "answer"}}};
  CHECK(read_texts(pair) == Texts{"q1 ", "a1", "q2 ", "a2"});
  const auto folder = make_folder();
  CHECK(load_dataset({.files = {kFolder + "delta.parquet"}}, folder).counts.documents == 40);
  CHECK_THROWS_WITH(read_texts({.files = {kFolder + "pair.parquet"}}),
                    Contains("pair.parquet:1: its keys are of no known format: \"question\", "
                             "\"answer\", \"image\""));
}

TEST_CASE("a Parquet file that is cut off says so") {
  const std::string whole = bytes_of("hub.parquet");
  for (size_t length = 4; length < whole.size(); length += 13) {
    INFO(length);
    CHECK_THROWS_WITH(rows_of(whole.substr(0, length)), Contains("x.parquet: is damaged: "));
  }
  // A page's checksum notices what its values do not.
  std::string flipped = bytes_of("pair.parquet");
  flipped[flipped.find("\x1f\x8b") + 12] ^= 1;
  CHECK_THROWS_WITH(rows_of(flipped), Contains("checksum is wrong"));
}

TEST_CASE("Parquet files broken at random are refused with a reason or give rows") {
  Random random(5);
  std::set<std::string> reasons;
  int64_t whole = 0;
  for (const char* name : {"hub.parquet", "delta.parquet", "pair.parquet"}) {
    const std::string good = bytes_of(name);
    for (int i = 0; i < 4000; ++i) {
      std::string bytes = good;
      for (uint64_t n = 1 + random.below(3); n > 0; --n) {
        const size_t at = 4 + random.below(bytes.size() - 8);
        switch (random.below(3)) {
          case 0:
            bytes[at] = static_cast<char>(random.below(256));
            break;
          case 1:
            bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
            break;
          default:
            bytes[at] = static_cast<char>(random.below(2) == 0 ? 0xff : 0);
        }
      }
      try {
        detail::ParquetRows reader("x", bytes);
        detail::RawRow row;
        for (int rows = 0; rows < 1000 && reader.next(row); ++rows) ++whole;
      } catch (const IoError& error) {
        reasons.insert(error.what());
      }
    }
  }
  CHECK(whole > 1000);
  CHECK(reasons.size() > 20);
}

}  // namespace
}  // namespace hone::data
