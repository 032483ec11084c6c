#include "hone/io/json_tail.h"

#include <catch2/catch.hpp>

#include "hone/io/json_lines.h"
#include "support.h"

namespace hone::io {
namespace {

using test::TemporaryFolder;
using End = JsonTail::End;

void append(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::app) << bytes;
}

/// What one read() takes, as text.
struct Taken {
  End end;
  std::string rows;

  explicit Taken(JsonTail& tail) {
    end = tail.read([this](const Json& row) { rows += row.dump(); });
  }
};

TEST_CASE("each row is read once, when it is complete, from a file that may come later") {
  const TemporaryFolder root;
  const std::string path = root.file("rows");
  JsonTail tail(path);
  CHECK(Taken(tail).end == End::kReached);
  append(path, "[1]\n[2]\n[");
  CHECK(Taken(tail).rows == "[1][2]");
  CHECK(Taken(tail).rows == "");
  append(path, "3]\n");
  const Taken last(tail);
  CHECK(last.rows == "[3]");
  CHECK(last.end == End::kReached);
  CHECK(tail.broken() == 0);
}

TEST_CASE("lines that are no JSON are passed over and counted, empty ones are none") {
  const TemporaryFolder root;
  JsonTail tail(root.write("rows", "[1]\n\n{\n[2]\n" + std::string(20, '[') + "\n"));
  CHECK(Taken(tail).rows == "[1][2]");
  CHECK(tail.broken() == 2);
}

TEST_CASE("a file that was rewound is begun anew") {
  const TemporaryFolder root;
  const std::string path = root.file("rows");
  JsonLines lines(path);
  for (const int64_t step : {1, 2, 3}) lines.write({{"step", step}});
  JsonTail tail(path);
  CHECK(Taken(tail).rows == R"({"step":1}{"step":2}{"step":3})");
  lines.rewind(2);  // another file
  CHECK(Taken(tail).end == End::kRewound);
  CHECK(Taken(tail).rows == R"({"step":1}{"step":2})");
  std::filesystem::resize_file(path, 11);  // the same one, cut
  CHECK(Taken(tail).end == End::kRewound);
  CHECK(Taken(tail).rows == R"({"step":1})");
  std::filesystem::remove(path);  // what was read stays read
  CHECK(Taken(tail).end == End::kReached);
}

TEST_CASE("a long file is read in pieces, and a line without end is one broken line") {
  const TemporaryFolder root;
  const std::string row = "[\"" + std::string(400'000, 'x') + "\"]";
  JsonTail tail(root.write("rows", row + "\n" + row + "\n" + row + "\n"));
  const Taken first(tail), second(tail);
  CHECK(first.end == End::kAhead);
  CHECK(first.rows.size() == 2 * row.size());
  CHECK(second.end == End::kReached);
  CHECK(second.rows == row);

  const std::string path = root.write("long", std::string(5 << 19, 'x') + "\n[1]\n");
  JsonTail endless(path);
  std::string rows;
  for (int i = 0; i < 4; ++i) rows += Taken(endless).rows;
  CHECK(rows == "[1]");
  CHECK(endless.broken() == 1);
}

}  // namespace
}  // namespace hone::io
