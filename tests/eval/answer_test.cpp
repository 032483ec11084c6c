#include "hone/eval/answer.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"

namespace hone::eval {
namespace {

using Answer = std::optional<std::string>;

Answer read(const std::string& text, std::optional<std::string> after,
            const std::optional<std::string>& extract) {
  return eval::AnswerReader(std::move(after), extract).read(text);
}

TEST_CASE("the answer stands behind the last mark, without the space around it") {
  CHECK(read("<think>6 * 7</think>\n\n42\n", "</think>", {}) == "42");
  CHECK(read("a</think>b</think> c", "</think>", {}) == "c");
  CHECK(read("still thinking", "</think>", {}) == std::nullopt);
  CHECK(read("</think>", "</think>", {}) == "");
  CHECK(read("  as it is ", {}, {}) == "as it is");
}

TEST_CASE("a pattern takes its last match, and the first group where it has one") {
  CHECK(read("3 apples and 4 pears are 7", {}, R"(\d+)") == "7");
  CHECK(read("#### 12\nno, #### 13", {}, R"(#### (-?[\d.,]+))") == "13");
  CHECK(read("so (B) it is", {}, R"(\(([A-D])\)|answer: (\w+))") == "B");
  CHECK(read("no number", {}, R"(\d+)") == std::nullopt);
  CHECK(read("", {}, "x*") == "");
  CHECK(read("答案：乙。答案：丙", {}, "答案：(\\p{Han})") == "丙");
  CHECK(read("\xff 5", {}, R"(\d)") == "5");
}

TEST_CASE("what stands before the mark is not searched") {
  CHECK(read("maybe 5</think>seven", "</think>", R"(\d+)") == std::nullopt);
  CHECK(read("maybe 5</think>It is 8.", "</think>", R"(\d+)") == "8");
}

TEST_CASE("a pattern that does not compile, or that backtracks without end, is named") {
  CHECK_THROWS_WITH(eval::AnswerReader({}, "(a"),
                    Catch::Contains("\"(a\" does not compile") && Catch::Contains("at byte 2"));
  CHECK_THROWS_WITH(read(std::string(40, 'a') + "!", {}, "^(a+)+$"),
                    Catch::Contains("ran over its limit on 41 bytes"));
}

}  // namespace
}  // namespace hone::eval
