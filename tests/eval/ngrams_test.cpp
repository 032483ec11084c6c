#include "hone/eval/detail/ngrams.h"

#include <catch2/catch.hpp>

namespace hone::eval::detail {
namespace {

TEST_CASE("Equal words have one number over all lists, others another") {
  const auto numbers = number_words({{"a", "b", "a"}, {}, {"b", "c"}});
  REQUIRE(numbers.size() == 3);
  CHECK(numbers[0][0] == numbers[0][2]);
  CHECK(numbers[0][1] == numbers[2][0]);
  CHECK(numbers[0][0] != numbers[0][1]);
  CHECK(numbers[2][1] != numbers[0][0]);
  CHECK(numbers[2][1] != numbers[0][1]);
  CHECK(numbers[1].empty());
}

TEST_CASE("n-grams are counted order by order, each as often as where it is most frequent") {
  Ngrams ngrams({{1, 2, 1, 2, 1}, {1, 2, 3}, {2, 1, 2, 1}});
  CHECK(ngrams.size(0) == 5);
  CHECK(ngrams.matches(0, 1, 2) == 2);  // a 1 and a 2
  CHECK(ngrams.matches(0, 1, 3) == 4);  // two of each, of the third
  ngrams.next_order();
  CHECK(ngrams.size(0) == 4);
  CHECK(ngrams.matches(0, 1, 2) == 1);  // 1 2
  CHECK(ngrams.matches(0, 1, 3) == 3);  // 1 2, and 2 1 twice
  ngrams.next_order();
  CHECK(ngrams.size(1) == 1);
  CHECK(ngrams.matches(0, 1, 3) == 2);  // 1 2 1 and 2 1 2
  CHECK(ngrams.matches(1, 0, 1) == 0);
  ngrams.next_order();
  CHECK(ngrams.size(1) == 0);  // shorter than four
  CHECK(ngrams.size(0) == 2);
  CHECK(ngrams.matches(0, 2, 3) == 1);
  CHECK(ngrams.matches(1, 0, 3) == 0);
}

TEST_CASE("A sequence is counted the same again, and against nothing it matches nothing") {
  Ngrams ngrams({{7, 7, 8}, {7, 8, 8}});
  CHECK(ngrams.matches(0, 1, 2) == 2);
  CHECK(ngrams.matches(0, 1, 2) == 2);
  CHECK(ngrams.matches(0, 1, 1) == 0);
}

TEST_CASE("Many n-grams keep their numbers apart") {
  std::vector<uint32_t> up, down;
  for (uint32_t i = 0; i < 5000; ++i) {
    up.push_back(i);
    down.push_back(4999 - i);
  }
  Ngrams ngrams({up, down, up});
  CHECK(ngrams.matches(0, 1, 2) == 5000);
  ngrams.next_order();
  CHECK(ngrams.matches(0, 1, 2) == 0);
  CHECK(ngrams.matches(0, 2, 3) == 4999);
}

}  // namespace
}  // namespace hone::eval::detail
