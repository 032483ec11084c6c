#include "hone/eval/detail/lcs.h"

#include <catch2/catch.hpp>

#include "failures.h"

namespace hone::eval {
namespace {

TEST_CASE("Longest common subsequences over more than one word of bits equal the plain table") {
  uint32_t state = 1;
  const auto random = [&state](uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
  };
  for (int round = 0; round < 60; ++round) {
    std::vector<uint32_t> a(random(200)), b(random(200));
    for (auto* list : {&a, &b}) {
      for (uint32_t& symbol : *list) symbol = random(2 + static_cast<uint32_t>(round) % 7);
    }
    std::vector<std::vector<size_t>> table(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 1; i <= a.size(); ++i) {
      for (size_t j = 1; j <= b.size(); ++j) {
        table[i][j] = a[i - 1] == b[j - 1] ? table[i - 1][j - 1] + 1
                                           : std::max(table[i - 1][j], table[i][j - 1]);
      }
    }
    std::vector<size_t> places;
    for (size_t i = a.size(), j = b.size(); i > 0 && j > 0;) {
      if (a[i - 1] == b[j - 1]) {
        places.insert(places.begin(), --i);
        --j;
      } else if (table[i][j - 1] > table[i - 1][j]) {
        --j;
      } else {
        --i;
      }
    }
    CHECK(detail::lcs_length(a, b) == table[a.size()][b.size()]);
    CHECK(detail::lcs_places(a, b) == places);
  }
}

TEST_CASE("A subsequence's table has a limit") {
  const std::vector<uint32_t> many(1 << 17, 1);
  CHECK(failure([&] { detail::lcs_places(many, many); }) ==
        "a longest common subsequence of sentences of 131072 and 131072 words needs more than 1 "
        "GiB; put a line break between sentences");
  CHECK(detail::lcs_length(std::vector<uint32_t>(1000, 1), many) == 1000);
}

}  // namespace
}  // namespace hone::eval
