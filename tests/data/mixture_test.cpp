#include "hone/data/mixture.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "hone/core/error.h"
#include "hone/core/random.h"

namespace hone::data {
namespace {

using Catch::Contains;

std::vector<std::vector<int64_t>> random_sets(const std::vector<int64_t>& documents) {
  Random random(7);
  std::vector<std::vector<int64_t>> sets;
  for (const int64_t count : documents) {
    auto& set = sets.emplace_back();
    for (int64_t i = 0; i < count; ++i) set.push_back(1 + static_cast<int64_t>(random.below(50)));
  }
  return sets;
}

std::vector<Draw> draw(Mixture& mixture, int count) {
  std::vector<Draw> draws;
  for (int i = 0; i < count; ++i) draws.push_back(mixture.draw());
  return draws;
}

TEST_CASE("the shares hold at every moment to within a document") {
  Mixture mixture(random_sets({300, 40, 100}), {1, 2.5, 0.3}, 1.0, 1);
  std::vector<double> drawn(3);
  double total = 0;
  for (int i = 0; i < 5000; ++i) {
    const Draw next = mixture.draw();
    drawn[next.set] += static_cast<double>(mixture.length(next));
    total += static_cast<double>(mixture.length(next));
    for (int set = 0; set < 3; ++set) {
      // A set runs ahead by its last document at most, and behind by what others run ahead.
      REQUIRE(std::abs(drawn[set] - mixture.shares()[set] * total) <= 2 * 50);
    }
  }
}

TEST_CASE("shares follow weight and temperature") {
  const std::vector<std::vector<int64_t>> sets{{60, 20}, {20}};
  CHECK(Mixture(sets, {1, 1}, 1, 0).shares()[0] == Approx(0.8));
  CHECK(Mixture(sets, {1, 4}, 1, 0).shares()[0] == Approx(0.5));
  CHECK(Mixture(sets, {1, 1}, 2, 0).shares()[0] == Approx(2.0 / 3));
  CHECK(Mixture(sets, {1, 3}, 1e9, 0).shares()[0] == Approx(0.25));
  CHECK(Mixture(sets, {1, 0}, 1, 0).shares()[1] == 0);
}

TEST_CASE("each epoch holds every document once, in an order of its own") {
  Mixture mixture(random_sets({50}), {1}, 1, 3);
  std::vector<int64_t> first, second;
  for (const Draw& next : draw(mixture, 50)) first.push_back(next.document);
  for (const Draw& next : draw(mixture, 50)) second.push_back(next.document);
  CHECK(std::set<int64_t>(first.begin(), first.end()).size() == 50);
  CHECK(std::set<int64_t>(second.begin(), second.end()).size() == 50);
  CHECK(first != second);
  CHECK_FALSE(std::is_sorted(first.begin(), first.end()));

  Mixture plain(random_sets({50}), {1}, 1, 3, false);
  for (int64_t i = 0; i < 100; ++i) REQUIRE(plain.draw().document == i % 50);
}

TEST_CASE("equal weights at temperature 1 end every epoch together") {
  Mixture mixture(random_sets({400, 30}), {1, 1}, 1, 5);
  int64_t count[2] = {};
  for (int i = 0; i < 430; ++i) ++count[mixture.draw().set];
  CHECK(std::abs(count[1] - 30) <= 3);
}

TEST_CASE("what is put back comes first and in order") {
  Mixture mixture(random_sets({20, 20}), {1, 1}, 1, 5), other = mixture;
  draw(mixture, 5);
  draw(other, 5);
  const std::vector<Draw> ahead = draw(other, 37);  // over the ends of both epochs
  std::vector<Draw> drawn = draw(mixture, 12);
  mixture.put_back(drawn);
  CHECK(draw(mixture, 37) == ahead);
  mixture.put_back({drawn.front()});
  while (true) {
    const Draw next = mixture.draw();
    if (next.set != drawn.front().set) continue;
    CHECK(next == drawn.front());
    CHECK(next.again);
    break;
  }
}

TEST_CASE("the state decides all coming draws") {
  const auto sets = random_sets({30, 7});
  Mixture mixture(sets, {1, 2}, 1.5, 5);
  const std::vector<Draw> some = draw(mixture, 91);
  mixture.put_back({some.end() - 4, some.end()});
  mixture.set_weights({3, 1});
  draw(mixture, 3);
  const Json state = mixture.state();
  Mixture other(sets, {1, 2}, 1.5, 5);
  other.restore(Json::parse(state.dump()));
  CHECK(other.weights() == std::vector<double>{3, 1});
  CHECK(other.state() == state);
  CHECK(draw(other, 200) == draw(mixture, 200));
}

TEST_CASE("new weights hold from here, without making up for the past") {
  Mixture mixture(random_sets({500, 500}), {1, 1}, 1, 5);
  draw(mixture, 700);
  mixture.set_weights({1, 3});
  double drawn[2] = {};
  for (const Draw& next : draw(mixture, 200)) {
    drawn[next.set] += static_cast<double>(mixture.length(next));
  }
  CHECK(drawn[1] / (drawn[0] + drawn[1]) == Approx(mixture.shares()[1]).margin(0.02));
}

TEST_CASE("what cannot be mixed is refused and leaves the mixture as it was") {
  const std::vector<std::vector<int64_t>> sets{{5}, {}};
  CHECK_THROWS_WITH(Mixture(sets, {1, 1}, 1, 0), Contains("data set 1 has a weight but no tokens"));
  CHECK_THROWS_WITH(Mixture(sets, {0, 0}, 1, 0), Contains("at least one data set"));
  CHECK_THROWS_WITH(Mixture(sets, {1, -1}, 1, 0), Contains("got -1"));
  CHECK_THROWS_WITH(Mixture(sets, {1}, 1, 0), Contains("expected a weight for each of 2"));
  CHECK_THROWS_WITH(Mixture(sets, {1, 0}, 0, 0), Contains("temperature must be above 0"));
  CHECK_THROWS_AS(Mixture({}, {}, 1, 0), Error);

  Mixture mixture(sets, {1, 0}, 1, 0);
  const Json before = mixture.state();
  CHECK_THROWS_AS(mixture.set_weights({0, 0}), Error);
  CHECK_THROWS_AS(mixture.set_weights({std::nan(""), 1}), Error);
  Json broken = before;
  broken["sets"][0]["next"] = 2;
  CHECK_THROWS_WITH(mixture.restore(broken), Contains("not of data set 0"));
  broken = before;
  broken["sets"][0]["returned"] = {{0, 0}, {-1, 0}};
  CHECK_THROWS_AS(mixture.restore(broken), Error);
  broken["sets"].erase(1);
  CHECK_THROWS_WITH(mixture.restore(broken), Contains("of 1 data sets, the run has 2"));
  CHECK(mixture.state() == before);
}

}  // namespace
}  // namespace hone::data
