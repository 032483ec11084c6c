#include "hone/data/packing.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "hone/core/error.h"
#include "hone/core/random.h"

namespace hone::data {
namespace {

int64_t fill(const std::vector<size_t>& bin, const std::vector<int64_t>& lengths) {
  return std::accumulate(bin.begin(), bin.end(), int64_t{0},
                         [&](int64_t sum, size_t i) { return sum + lengths[i]; });
}

TEST_CASE("best fit puts the longest first, each into the fullest bin that holds it") {
  CHECK(pack_best_fit({2, 5, 7, 3, 3}, 10) == Bins{{2, 3}, {1, 4, 0}});
  CHECK(pack_best_fit({4, 4, 4}, 4) == Bins{{0}, {1}, {2}});
  CHECK(pack_best_fit({}, 4).empty());
}

TEST_CASE("in order opens a bin whenever the next document does not fit") {
  CHECK(pack_in_order({2, 5, 7, 3, 3}, 10) == Bins{{0, 1}, {2, 3}, {4}});
  CHECK(pack_in_order({}, 4).empty());
}

TEST_CASE("bins hold every document once and are within the budget") {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    const auto budget = static_cast<int64_t>(1 + random.below(40));
    std::vector<int64_t> lengths(random.below(100));
    for (auto& length : lengths) length = static_cast<int64_t>(1 + random.below(budget));
    const Bins best = pack_best_fit(lengths, budget), ordered = pack_in_order(lengths, budget);
    for (const Bins& bins : {best, ordered}) {
      std::vector<size_t> seen;
      for (const auto& bin : bins) {
        REQUIRE(fill(bin, lengths) <= budget);
        seen.insert(seen.end(), bin.begin(), bin.end());
      }
      std::sort(seen.begin(), seen.end());
      REQUIRE(seen.size() == lengths.size());
      for (size_t i = 0; i < seen.size(); ++i) REQUIRE(seen[i] == i);
    }
    // Two bins of any packing by best fit hold more than one budget together.
    for (size_t a = 0; a + 1 < best.size(); ++a) {
      REQUIRE(fill(best[a], lengths) + fill(best[a + 1], lengths) > budget);
    }
  }
}

TEST_CASE("a document over the budget is named") {
  CHECK_THROWS_WITH(pack_best_fit({3, 11}, 10),
                    "packing: document 1 has 11 tokens; must be between 1 and tokens_per_batch = "
                    "10 (set the data set's max_length and on_too_long)");
  CHECK_THROWS_AS(pack_in_order({0}, 10), Error);
}

TEST_CASE("evaluation batches hold the documents in order") {
  const auto example = [](int64_t length) {
    return Example{std::vector<int64_t>(length, length), std::vector<int64_t>(length, 1),
                   std::vector<float>(length, 1), 0};
  };
  const auto batches = eval_batches({example(3), example(4), example(2), example(5)}, 7);
  REQUIRE(batches.size() == 2);
  CHECK(batches[0].offsets == std::vector<int64_t>{0, 3, 7});
  CHECK(batches[1].offsets == std::vector<int64_t>{0, 2, 7});
  CHECK(batches[1].input_ids == std::vector<int64_t>{2, 2, 5, 5, 5, 5, 5});
}

TEST_CASE("a held-out document longer than a batch is a batch of its own") {
  const auto example = [](int64_t length) {
    return Example{std::vector<int64_t>(length, length), std::vector<int64_t>(length, 1),
                   std::vector<float>(length, 1), 0};
  };
  const auto batches = eval_batches({example(3), example(9), example(2)}, 7);
  REQUIRE(batches.size() == 3);
  CHECK(batches[1].offsets == std::vector<int64_t>{0, 9});
}

}  // namespace
}  // namespace hone::data
