#include "hone/data/detail/csv_rows.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "support/temporary_folder.h"

namespace hone::data::detail {
namespace {

struct File : TemporaryFolder {
  std::string name = path + "/t.csv";

  explicit File(const std::string& text) { std::ofstream(name, std::ios::binary) << text; }
  /// The rows as "<line>:<json or reason>", one a line.
  std::string rows(char delimiter = ',') const {
    CsvRows rows(name, delimiter);
    std::string all;
    for (RawRow row; rows.next(row);) {
      all += std::to_string(row.line) + ":" +
             (row.bad_reason.empty() ? row.bytes : row.bad_reason) + "\n";
    }
    return all;
  }
  /// What is said against the file's header.
  std::string refusal(char delimiter = ',') const {
    try {
      rows(delimiter);
      return "";
    } catch (const IoError& error) {
      return std::string(error.what()).substr(name.size() + 2);
    }
  }
};

TEST_CASE("fields, in quotes where they hold a delimiter, a quote or a line break") {
  CHECK(File("a,b\n1,\"x, \"\"y\"\"\nz\"\n\n\"\",2\r\n").rows() ==
        "2:{\"a\":\"1\",\"b\":\"x, \\\"y\\\"\\nz\"}\n5:{\"a\":\"\",\"b\":\"2\"}\n");
  CHECK(File("a\tb\n1,5\t2\n").rows('\t') == "2:{\"a\":\"1,5\",\"b\":\"2\"}\n");
  CHECK(File("a,b\nx\"y,2").rows() == "2:{\"a\":\"x\\\"y\",\"b\":\"2\"}\n");  // inside, no quote
}

TEST_CASE("a byte-order mark is no part of the first name, quoted or not") {
  CHECK(File("\xef\xbb\xbf"
             "a\n1\n")
            .rows() == "2:{\"a\":\"1\"}\n");
  CHECK(File("\xef\xbb\xbf\"a\",b\n1,2\n").rows() == "2:{\"a\":\"1\",\"b\":\"2\"}\n");
}

TEST_CASE("rows that are none are told, and those behind them are read") {
  CHECK(File("a,b\n1\n1,2,3\n\"x\"y,2\n1,\xff\n3,4\n").rows() ==
        "2:has 1 fields, the header names 2 columns\n"
        "3:has 3 fields, the header names 2 columns\n"
        "4:something follows a field's closing quote on line 4\n"
        "5:column \"b\": byte 1 is not valid UTF-8\n"
        "6:{\"a\":\"3\",\"b\":\"4\"}\n");
  CHECK(File("a\n" + std::string(1000, ',') + "\n1\n").rows() ==
        "2:has more than 1000 fields\n3:{\"a\":\"1\"}\n");
}

TEST_CASE("a header must name columns, each once, by the right delimiter") {
  CHECK(File("").refusal() == "is empty: expected a header that names the columns");
  CHECK(File("\n\r\n").refusal() == "is empty: expected a header that names the columns");
  CHECK(File("a,b,a\n").refusal() == "the header names the column \"a\" twice");
  CHECK(File("a,\xff\n").refusal() == "the header is not valid UTF-8");
  CHECK(File("a;b\n").refusal() ==
        "its header is one column, \"a;b\"; are the columns separated by ';'? Expected ','");
  CHECK(File("a\tb\n").refusal() ==
        "its header is one column, \"a\tb\"; are the columns separated by tabs? Name it .tsv");
  CHECK(File("a,b\n").refusal('\t') ==
        "its header is one column, \"a,b\"; are the columns separated by ','? Expected tabs");
  CHECK(File("a\n\"x\n").refusal() ==
        "the quotes opened on line 2 are never closed; is the file cut off?");
}

}  // namespace
}  // namespace hone::data::detail
