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

TEST_CASE("a batch one token further stays within its documents") {
  Batch batch;
  batch.append({{5, 6, 7}, {6, kIgnoreIndex, kIgnoreIndex}, {1, 2, 3}, 1});
  batch.append({{8}, {kIgnoreIndex}, {4}, 0});
  batch.append({{9, 10}, {10, kIgnoreIndex}, {5, 6}, 2});
  const Batch next = batch.further();
  CHECK(next.input_ids == std::vector<int64_t>{6, 7, 7, 8, 10, 10});
  const int64_t none = kIgnoreIndex;
  CHECK(next.targets == std::vector<int64_t>{none, none, none, none, none, none});
  CHECK(next.weights[0] == 2);
  CHECK(next.positions == batch.positions);
  CHECK(next.offsets == batch.offsets);
  CHECK(next.domains == batch.domains);
  batch.targets = {6, 7, none, none, 10, none};
  CHECK(batch.further().targets == std::vector<int64_t>{7, none, none, none, none, none});
  CHECK(batch.further().further().input_ids == std::vector<int64_t>{7, 7, 7, 8, 10, 10});
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
