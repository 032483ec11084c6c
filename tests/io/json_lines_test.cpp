#include "hone/io/json_lines.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/log.h"
#include "support.h"

namespace hone::io {
namespace {

using test::TemporaryFolder;

std::vector<int64_t> steps(const std::string& path) {
  std::vector<int64_t> list;
  for (const Json& row : read_json_lines(path)) list.push_back(row_step(row).value_or(-1));
  return list;
}

TEST_CASE("rows are lines, and go behind those that are there") {
  const TemporaryFolder root;
  const std::string path = root.file("rows");
  {
    JsonLines lines(path);
    CHECK(lines.path() == path);
    CHECK(lines.empty());
    lines.write({{"b", 1}, {"a", NAN}});
    CHECK_FALSE(lines.empty());
  }
  JsonLines(path).write({{"c", "\xff"}});
  CHECK(read_file(path) == "{\"b\":1,\"a\":null}\n{\"c\":\"\ufffd\"}\n");
}

TEST_CASE("a torn last line is cut off, and said") {
  const TemporaryFolder root;
  const std::string path = root.write("rows", "{\"step\":1}\n{\"st");
  std::string log;
  set_log_sink([&](LogLevel, std::string_view line) { log += line; });
  JsonLines lines(path);
  set_log_sink({});
  CHECK(log == path + ": the last line is torn and cut off");
  lines.write({{"step", 2}});
  CHECK(steps(path) == std::vector<int64_t>{1, 2});
  CHECK(JsonLines(root.write("one", "{\"a\"")).empty());  // not one complete line
}

TEST_CASE("rewinding drops later steps alone, and writing goes on in the new file") {
  const TemporaryFolder root;
  const std::string path = root.file("rows");
  JsonLines lines(path);
  for (const Json& row : {Json{{"step", 1}}, Json{{"step", 3}}, Json{{"note", "x"}},
                          Json{{"step", 2}}, Json{{"step", "5"}}, Json{{"step", 4.0}}, Json{7}}) {
    lines.write(row);
  }
  CHECK_FALSE(lines.rewind(3));
  CHECK(lines.rewind(2));
  CHECK(steps(path) == std::vector<int64_t>{1, -1, 2, -1, -1, -1});
  lines.write({{"step", 9}});
  CHECK(steps(path).back() == 9);
  CHECK(lines.rewind(-1));
  CHECK(steps(path) == std::vector<int64_t>{-1, -1, -1, -1});
}

TEST_CASE("rows are put in place of all that is there") {
  const TemporaryFolder root;
  const std::string path = root.file("rows");
  JsonLines lines(path);
  lines.write({{"step", 1}});
  lines.replace({{{"step", 5}}, {{"step", 6}}});
  lines.write({{"step", 7}});
  CHECK(steps(path) == std::vector<int64_t>{5, 6, 7});
  lines.replace({});
  CHECK(lines.empty());
}

TEST_CASE("empty lines are none, a broken one is named unless it is the last") {
  const TemporaryFolder root;
  CHECK(steps(root.write("gaps", "{\"step\":1}\n\n{\"step\":2}\n")) == std::vector<int64_t>{1, 2});
  const std::string broken = root.write("broken", "{}\n\n{\n{}\n");
  CHECK_THROWS_WITH(read_json_lines(broken), broken + ":3: is no JSON");
  std::string log;
  set_log_sink([&](LogLevel, std::string_view line) { log += line; });
  const std::string last = root.write("last", "{\"step\":1}\n{\n");
  CHECK(steps(last) == std::vector<int64_t>{1});
  set_log_sink({});
  CHECK(log == last + ":2: is no JSON; the last line is passed over");
  CHECK(read_json_lines(root.write("torn", "{}\n{\"a\":1}")).size() == 1);
  CHECK_THROWS_AS(read_json_lines(root.file("none")), IoError);
}

TEST_CASE("a row's step is an integer, or it has none") {
  CHECK(row_step({{"step", 3}}) == 3);
  CHECK_FALSE(row_step({{"step", 3.0}}));
  CHECK_FALSE(row_step({{"step", nullptr}}));
  CHECK_FALSE(row_step({{"steps", 3}}));
  CHECK_FALSE(row_step(Json::array()));
}

}  // namespace
}  // namespace hone::io
