#include "hone/tune/pareto.h"

#include <cmath>

#include "hone/core/error.h"
#include "hone/tune/samplers/hypervolume.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;

namespace {

StudyView study_of(const Losses& rows, std::vector<Direction> directions) {
  StudyView study{"s", std::move(directions), {}};
  for (size_t i = 0; i < rows.size(); ++i) {
    auto trial = std::make_shared<Trial>();
    trial->number = static_cast<int64_t>(i);
    trial->state = TrialState::kComplete;
    trial->values = rows[i];
    study.trials.push_back(trial);
  }
  return study;
}

std::vector<int64_t> numbers(const std::vector<TrialPtr>& trials) {
  std::vector<int64_t> result;
  for (const TrialPtr& trial : trials) result.push_back(trial->number);
  return result;
}

Trial& at(StudyView& study, size_t i) { return const_cast<Trial&>(*study.trials[i]); }

}  // namespace

TEST_CASE("A row dominates one that is nowhere better and somewhere worse") {
  CHECK(dominates({1, 2}, {1, 3}));
  CHECK_FALSE(dominates({1, 3}, {1, 3}));
  CHECK_FALSE(dominates({1, 3}, {2, 2}));
  CHECK_THROWS_AS(dominates({1}, {1, 2}), Error);
}

TEST_CASE("The front keeps equals, minds directions and leaves out what is not feasible") {
  const auto min = Direction::kMinimize, max = Direction::kMaximize;
  StudyView study = study_of({{1, 1}, {2, 2}, {1, 0}, {2, 2}, {3, 9}}, {min, max});
  CHECK(numbers(pareto_front(study)) == std::vector<int64_t>{0, 1, 3, 4});
  at(study, 4).system_attrs[kConstraints] = Json{0.0, 0.5};
  at(study, 0).state = TrialState::kPruned;
  at(study, 1).system_attrs[kConstraints] = Json{-1.0, 0.0};
  CHECK(numbers(pareto_front(study)) == std::vector<int64_t>{1, 2, 3});
  at(study, 3).values = {1, NAN};
  at(study, 1).values = {1};
  CHECK(numbers(pareto_front(study)) == std::vector<int64_t>{2});
}

TEST_CASE("The best trial is the earliest of the best feasible ones") {
  StudyView study = study_of({{3}, {1}, {1}, {0}}, {Direction::kMinimize});
  at(study, 3).system_attrs[kConstraints] = Json{1.0};
  CHECK(best_trial(study)->number == 1);
  study.directions = {Direction::kMaximize};
  CHECK(best_trial(study)->number == 0);
  CHECK(best_trial(study_of({}, {Direction::kMinimize})) == nullptr);
}

TEST_CASE("Ranks peel fronts and stop once enough rows have theirs") {
  const Losses rows{{1, 4}, {2, 2}, {3, 3}, {2, 2}, {5, 5}};
  CHECK(domination_ranks(rows) == std::vector<int64_t>{0, 0, 1, 0, 2});
  CHECK(domination_ranks(rows, 1) == std::vector<int64_t>{0, 0, 1, 0, 1});
  CHECK(domination_ranks({}).empty());
  CHECK(domination_ranks({{3}, {1}, {3}}) == std::vector<int64_t>{1, 0, 1});
  CHECK(constrained_ranks(rows, {0, 2, 0, 1, 0}) == std::vector<int64_t>{0, 3, 0, 2, 1});
  CHECK_THROWS_AS(domination_ranks({{1, 2}, {1}}), Error);
}

TEST_CASE("Hypervolumes of boxes that are known") {
  CHECK(hypervolume({{1, 2}, {2, 1}, {2, 2}}, {3, 3}) == 3);
  CHECK(hypervolume({{1, 2, 2}, {2, 1, 2}, {2, 2, 1}}, {3, 3, 3}) == 4);
  // In four dimensions: three boxes of 2 that all hold the same cube of 1, and none other in
  // common.
  CHECK(hypervolume({{1, 2, 2, 2}, {2, 1, 2, 2}, {2, 2, 1, 2}}, {3, 3, 3, 3}) == 4);
  // Two of 8 and 1 that share half a cube, and one of them alone.
  CHECK(hypervolume({{1, 1, 1, 2}, {2, 2, 2, 1}}, {3, 3, 3, 3}) == 8 + 2 - 1);
  CHECK(hypervolume({{1, 1, 1, 2}}, {3, 3, 3, 3}) == 8);
  CHECK(hypervolume({}, {1, 1}) == 0);
  CHECK(std::isinf(hypervolume({{-INFINITY, 0}}, {1, 1})));
  CHECK_THROWS_AS(hypervolume({{1, 2}}, {0, 3}), Error);
  CHECK_THROWS_AS(hypervolume({{1, 2}}, {3}), Error);
}

TEST_CASE("Subsets take what adds most; best_rows fills whole ranks first") {
  const Losses front{{0, 9}, {1, 8}, {4, 4}, {9, 0}};
  CHECK(hypervolume_subset(front, 1, {10, 10}) == std::vector<size_t>{2});
  CHECK(hypervolume_subset(front, 4, {10, 10}) == std::vector<size_t>{0, 1, 2, 3});
  CHECK(hypervolume_subset({{1, 1}, {1, 1}, {1, 1}}, 2, {2, 2}) == std::vector<size_t>{0, 1});
  CHECK_THROWS_AS(hypervolume_subset(front, 5, {10, 10}), Error);
  CHECK(reference_point({{1, -10}, {0, -20}}) == std::vector<double>{1.1, -9});
  CHECK(reference_point({{0}}) == std::vector<double>{1e-12});
  CHECK(best_rows({{5, 5}, {0, 9}, {4, 4}, {9, 0}, {6, 6}}, 4) == std::vector<size_t>{0, 1, 2, 3});
}

TEST_CASE("Ends of a column are infinitely apart") {
  const auto distances = crowding_distances({{0, 4}, {1, 2}, {4, 0}, {2, 1}});
  CHECK(std::isinf(distances[0]));
  CHECK(std::isinf(distances[2]));
  CHECK(distances[1] == Approx(2.0 / 4 + 3.0 / 4));
  CHECK(distances[3] == Approx(3.0 / 4 + 2.0 / 4));
  CHECK(crowding_distances({{1, 1}, {1, 1}}) == std::vector<double>{0, 0});
}
