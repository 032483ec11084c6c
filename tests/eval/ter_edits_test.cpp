#include "hone/eval/detail/ter_edits.h"

#include <catch2/catch.hpp>

namespace hone::eval::detail {
namespace {

TEST_CASE("Words inserted, deleted and replaced are an edit each") {
  CHECK(ter_edits({1, 2, 3}, {1, 2, 3}) == 0);
  CHECK(ter_edits({1, 2}, {1, 2, 3}) == 1);
  CHECK(ter_edits({1, 2, 3, 4}, {1, 2, 3}) == 1);
  CHECK(ter_edits({1, 9, 3}, {1, 2, 3}) == 1);
  CHECK(ter_edits({}, {1, 2}) == 2);
  CHECK(ter_edits({1, 2}, {}) == 2);
  CHECK(ter_edits({}, {}) == 0);
}

TEST_CASE("A stretch that moves is one edit, however long, up to ten words") {
  CHECK(ter_edits({3, 1, 2}, {1, 2, 3}) == 1);
  CHECK(ter_edits({5, 6, 7, 1, 2, 3, 4}, {1, 2, 3, 4, 5, 6, 7}) == 1);
  std::vector<uint32_t> ten, rest;
  for (uint32_t i = 0; i < 10; ++i) ten.push_back(100 + i);
  for (uint32_t i = 0; i < 12; ++i) rest.push_back(i);
  const auto joined = [](std::vector<uint32_t> a, const std::vector<uint32_t>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  CHECK(ter_edits(joined(ten, rest), joined(rest, ten)) == 1);
  ten.push_back(110);  // eleven, and the twelve others are too long as well
  CHECK(ter_edits(joined(ten, rest), joined(rest, ten)) == 2);
}

TEST_CASE("A move is made only where it saves more than it costs") {
  CHECK(ter_edits({2, 1}, {1, 2}) == 1);
  CHECK(ter_edits({2, 9, 1}, {1, 8, 2}) == 3);
}

}  // namespace
}  // namespace hone::eval::detail
