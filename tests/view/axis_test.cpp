#include "hone/view/axis.h"

#include <catch2/catch.hpp>
#include <cmath>

namespace hone::view {
namespace {

TEST_CASE("ticks are round and few, whatever the range") {
  CHECK(Axis{.low = -0.1, .high = 1}.ticks(5) == std::vector<double>{0, 0.5, 1});
  CHECK(Axis{.low = 0, .high = 1.5, .logarithmic = true}.ticks(5) ==
        std::vector<double>{1, 2, 5, 10, 20});
  CHECK(Axis{.low = -300, .high = 300, .logarithmic = true}.ticks(5).size() <= 11);
  CHECK(Axis{.low = 1e300, .high = std::nextafter(1e300, 2e300)}.ticks(5).size() <= 11);
  CHECK(Axis{.low = -1e308, .high = 1e308}.ticks(5).empty());
  CHECK(Axis{.low = 2, .high = 2}.ticks(5).size() <= 1);
  CHECK(Axis{.low = 0, .high = 8, .begin = 10, .end = 90}.place(2) == 30);
}

TEST_CASE("places on a logarithmic axis go by the power of ten") {
  const Axis axis{.low = 0, .high = 2, .begin = 100, .end = 0, .logarithmic = true};
  CHECK(axis.place(1) == Approx(100));
  CHECK(axis.place(10) == Approx(50));
  CHECK(axis.place(100) == Approx(0).margin(1e-12));
}

TEST_CASE("ticks lie within the range, its ends included") {
  CHECK(Axis{.low = 0, .high = 10}.ticks(5) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(Axis{.low = 0.01, .high = 9.99}.ticks(5) == std::vector<double>{2, 4, 6, 8});
  CHECK(Axis{.low = -3, .high = 3}.ticks(3) == std::vector<double>{-2, 0, 2});
  CHECK(Axis{.low = 0, .high = 3, .logarithmic = true}.ticks(5) ==
        std::vector<double>{1, 10, 100, 1000});
}

TEST_CASE("an axis has room around its values, and nothing is placed outside it") {
  Extent range;
  CHECK(range.empty());
  for (const double value : {10.0, 30.0, double{NAN}, double{INFINITY}}) range.add(value);
  CHECK_FALSE(range.wants_log());
  const Axis axis = axis_over(range, false, 0, 220);
  CHECK(axis.low == 9);
  CHECK(axis.high == 31);
  CHECK(axis.place_within(20) == 110);
  CHECK(axis.place_within(99) == 220);
  CHECK(axis.place_within(NAN) == 0);
  CHECK(axis_over({5, 5}, false, 0, 1).low == 4.5);
  CHECK(axis_over({0, 0}, false, 0, 1).high == 1);
  const Axis wide = axis_over({1, 100}, Extent{1, 100}.wants_log(), 0, 100, 0);
  CHECK(wide.place_within(10) == Approx(50));
  CHECK(wide.place_within(-1) == 0);
}

}  // namespace
}  // namespace hone::view
