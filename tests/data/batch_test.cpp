#include "hone/data/batch.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"

namespace hone::data {
namespace {

TEST_CASE("documents are laid end to end with restarted positions") {
  Batch batch;
  CHECK(batch.documents() == 0);
  batch.append({{5, 6, 7}, {6, 7, kIgnoreIndex}, {1, 2, 1}, 0});
  batch.append({{8, 9}, {kIgnoreIndex, kIgnoreIndex}, {1, 1}, 3});
  CHECK(batch.input_ids == std::vector<int64_t>{5, 6, 7, 8, 9});
  CHECK(batch.targets == std::vector<int64_t>{6, 7, -100, -100, -100});
  CHECK(batch.positions == std::vector<int64_t>{0, 1, 2, 0, 1});
  CHECK(batch.weights == std::vector<float>{1, 2, 1, 1, 1});
  CHECK(batch.domains == std::vector<int64_t>{0, 0, 0, 3, 3});
  CHECK(batch.offsets == std::vector<int64_t>{0, 3, 5});
  CHECK(batch.tokens() == 5);
  CHECK(batch.documents() == 2);
  CHECK(batch.trained() == 2);
}

TEST_CASE("a document whose vectors differ in length is refused") {
  Batch batch;
  CHECK_THROWS_WITH(batch.append({{1, 2}, {2}, {1, 1}, 0}),
                    "Batch: a document must have as many targets and weights as ids, at least 1; "
                    "got 1, 2 and 2");
  CHECK_THROWS_AS(batch.append({{1, 2}, {2, 3}, {1}, 0}), Error);
  CHECK_THROWS_AS(batch.append({}), Error);
  CHECK(batch == Batch{});
}

}  // namespace
}  // namespace hone::data
