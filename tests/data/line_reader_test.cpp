#include "hone/data/detail/line_reader.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "hone/core/error.h"
#include "support/temporary_folder.h"

namespace hone::data::detail {
namespace {

struct File : TemporaryFolder {
  std::string name = path + "/t";

  explicit File(const std::string& text) { std::ofstream(name, std::ios::binary) << text; }
  /// Each line in brackets, those over the limit with a "!".
  std::string lines(size_t max_line = 100) const {
    LineReader reader(name, max_line);
    std::string all, line;
    for (int64_t number = 1;; ++number) {
      const LineReader::Got got = reader.next(line);
      if (got == LineReader::Got::kEnd) return all;
      CHECK(reader.line() == number);
      all += (got == LineReader::Got::kTooLong ? "!" : "") + ("[" + line + "]");
    }
  }
};

TEST_CASE("lines end in a line feed, with a carriage return before it or not, or at the end") {
  CHECK(File("").lines() == "");
  CHECK(File("\n").lines() == "[]");
  CHECK(File("a\nb\r\n\nc").lines() == "[a][b][][c]");
  CHECK(File("a\rb\r\r\n").lines() == "[a\rb\r]");
  CHECK(File("a\r").lines() == "[a\r]");
}

TEST_CASE("a byte-order mark is left out at the file's beginning alone") {
  CHECK(File("\xef\xbb\xbfx\n\xef\xbb\xbfy").lines() == "[x][\xef\xbb\xbfy]");
}

TEST_CASE("a line over the limit is told, and the next one is whole") {
  CHECK(File("123\n1234\n12345678\n12\r\n123\r\n1234\r\nx").lines(3) ==
        "[123]![1234]![1234][12][123]![1234][x]");
}

TEST_CASE("lines longer than the buffer are whole") {
  const std::string line(700'000, 'x');
  CHECK(File(line + "\n" + line).lines(line.size()) == "[" + line + "][" + line + "]");
}

TEST_CASE("what is no file is refused") {
  CHECK_THROWS_AS(LineReader("/no/file"), IoError);
  CHECK_THROWS_AS(LineReader("/tmp"), IoError);
}

}  // namespace
}  // namespace hone::data::detail
