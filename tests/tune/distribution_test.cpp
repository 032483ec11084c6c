#include "hone/tune/distribution.h"

#include "hone/core/error.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;

TEST_CASE("A step that does not divide pulls high down in decimal arithmetic") {
  const auto high = [](double low, double high, double step) {
    return std::get<FloatDistribution>(validated(FloatDistribution{low, high, false, step})).high;
  };
  CHECK(high(0.1, 0.3, 0.1) == 0.3);
  CHECK(high(0, 0.5, 0.05) == 0.5);
  CHECK(high(0, 1, 0.3) == 0.9);
  CHECK(high(-0.5, 0.55, 0.1) == 0.5);
  CHECK(high(1e-5, 1e-4, 4e-5) == 9e-5);
  CHECK(std::get<IntDistribution>(validated(IntDistribution{1, 10, false, 4})).high == 9);
}

TEST_CASE("A high that was pulled down stays where it is") {
  const auto pulled = [](double low, double high, double step) {
    const Distribution once = validated(FloatDistribution{low, high, false, step});
    CHECK(validated(once) == once);
    return std::get<FloatDistribution>(once).high;
  };
  CHECK(pulled(0.1234567890123456, 0.7, 3e-16) <= 0.7);
  CHECK(pulled(0, 1e300, 3e284) <= 1e300);
  CHECK(pulled(-1e300, 1e-10, 7e290) <= 1e-10);
  CHECK(pulled(0, 1e-320, 3e-321) == 9e-321);  // subnormal
  CHECK(pulled(1e-5, 1e9, 0.3) > 1e9 - 0.3);
}

TEST_CASE("Distributions travel through Optuna's JSON") {
  const Distribution all[] = {FloatDistribution{0, 1},
                              FloatDistribution{1e-6, 0.1, true},
                              FloatDistribution{0, 0.5, false, 0.05},
                              IntDistribution{4, 128, false, 4},
                              IntDistribution{1, 256, true},
                              CategoricalDistribution{{nullptr, true, 1, 1.0, "é"}}};
  for (const Distribution& d : all) CHECK(parse_distribution(distribution_text(d)) == d);
  CHECK(
      distribution_text(all[0]) ==
      R"({"name":"FloatDistribution","attributes":{"step":null,"low":0.0,"high":1.0,"log":false}})");
  CHECK(parse_distribution(
            R"({"name":"DiscreteUniformDistribution","attributes":{"low":0,"high":1,"q":0.25}})") ==
        Distribution(FloatDistribution{0, 1, false, 0.25}));
  CHECK(parse_distribution(
            R"({"name":"IntLogUniformDistribution","attributes":{"low":1,"high":9}})") ==
        Distribution(IntDistribution{1, 9, true}));
  CHECK_THROWS_WITH(parse_distribution(R"({"name":"Normal","attributes":{}})"),
                    Catch::Contains("no distribution Normal"));
  CHECK_THROWS_WITH(parse_distribution("[]"), Catch::Contains("name and attributes"));
}

TEST_CASE("Choices keep their types") {
  const Distribution d = CategoricalDistribution{{1, 1.0, true, "1"}};
  CHECK(internal_value(d, 1) == 0);
  CHECK(internal_value(d, 1.0) == 1);
  CHECK(internal_value(d, true) == 2);
  CHECK(internal_value(d, "1") == 3);
  CHECK(external_value(d, 2) == Json(true));
  CHECK_FALSE(compatible(d, CategoricalDistribution{{1.0, 1, true, "1"}}));
}

TEST_CASE("Contradictory distributions are refused") {
  const auto refused = [](Distribution d, const char* why) {
    CHECK_THROWS_WITH(validated(std::move(d)), Catch::Contains(why));
  };
  refused(FloatDistribution{2, 1}, "low must not exceed high");
  refused(FloatDistribution{0, 1, true}, "log needs low > 0");
  refused(FloatDistribution{1, 2, true, 0.5}, "exclude each other");
  refused(FloatDistribution{1, 2, false, 0.0}, "step must be positive");
  refused(FloatDistribution{0, INFINITY}, "finite");
  refused(FloatDistribution{-1.7e308, 1.7e308}, "too far apart");
  refused(FloatDistribution{0, 1, false, 1e-300}, "at most 2^53 values");
  refused(IntDistribution{-(int64_t{1} << 53), 1}, "at most 2^53 apart");
  refused(IntDistribution{3, 2}, "low must not exceed high");
  refused(IntDistribution{0, 2, true}, "log needs low >= 1");
  refused(IntDistribution{1, 2, true, 2}, "log needs step 1");
  refused(CategoricalDistribution{}, "there must be a choice");
  refused(CategoricalDistribution{{"a", "a"}}, "there twice");
  refused(CategoricalDistribution{{Json::array()}}, "choices must be");
}

TEST_CASE("Membership and size") {
  CHECK(contains(IntDistribution{4, 12, false, 4}, 8));
  CHECK_FALSE(contains(IntDistribution{4, 12, false, 4}, 6));
  CHECK(cardinality(FloatDistribution{0, 0.5, false, 0.05}) == 11);
  CHECK_FALSE(cardinality(FloatDistribution{0, 1}));
  CHECK(single(FloatDistribution{1, 1}));
  CHECK_FALSE(compatible(FloatDistribution{1, 2, true}, FloatDistribution{1, 2}));
  CHECK(compatible(IntDistribution{1, 2}, IntDistribution{1, 5}));
}

TEST_CASE("A distribution is described in words, not as it is stored") {
  CHECK(describe(FloatDistribution{1e-5, 1e-3, true}) == "1e-5 .. 0.001, log");
  CHECK(describe(FloatDistribution{0, 0.5, false, 0.25}) == "0 .. 0.5, in steps of 0.25");
  CHECK(describe(IntDistribution{4, 64, true}) == "4 .. 64, integer, log");
  CHECK(describe(IntDistribution{8, 32, false, 8}) == "8 .. 32, integer, in steps of 8");
  CHECK(describe(FloatDistribution{1e20, 1e20}) == "1e+20");
  CHECK(describe(CategoricalDistribution{{"cosine", 2, nullptr, 0.5}}) == "cosine, 2, null, 0.5");
}
