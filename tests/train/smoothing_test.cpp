#include "hone/train/controllers/smoothing.h"

#include <cmath>
#include <limits>

#include "support/catch.h"

using namespace hone::train;

TEST_CASE("The moving average has no bias at its start") {
  Ema ema(0.9);
  CHECK_FALSE(ema.value());
  ema.add(5);
  CHECK(ema.value().value() == Approx(5));
  ema.add(7);
  CHECK(ema.value().value() == Approx((0.9 * 5 + 7) / 1.9));
  const hone::Json before = ema.state();
  ema.add(std::numeric_limits<double>::infinity());
  CHECK(ema.state() == before);
}

TEST_CASE("The slope is the least-squares line's over the window") {
  Slope slope(4);
  slope.add(100);
  CHECK_FALSE(slope.value());
  for (int i = 0; i < 4; ++i) slope.add(3 - 0.5 * i);  // the 100 has left
  CHECK(slope.value().value() == Approx(-0.5));
  slope.add(std::nan(""));
  CHECK(slope.value().value() == Approx(-0.5));
  Slope other(10);
  for (const double x : {1.0, 2.0, 4.0}) other.add(x);
  CHECK(other.value().value() == Approx(1.5));
}

TEST_CASE("Outliers do not move the band") {
  RobustBand band(5);
  band.add(1);
  band.add(2);
  CHECK_FALSE(band.band());
  band.add(3);
  CHECK(band.band()->median == 2);
  CHECK(band.band()->spread == Approx(1.4826));
  band.add(1e9);
  CHECK(band.band()->median == 2.5);  // of 1, 2, 3, 1e9
  CHECK(band.band()->spread == Approx(1.4826));
  band.add(std::nan(""));
  for (const double x : {2.0, 2.0}) band.add(x);  // the 1 has left
  CHECK(band.band()->median == 2);
  CHECK(band.band()->spread == 0);
}

TEST_CASE("Smoothed numbers restore bit-equal") {
  Ema ema(0.97), ema_parts(0.97);
  Slope slope(7), slope_parts(7);
  RobustBand band(7), band_parts(7);
  for (int i = 0; i < 40; ++i) {
    const double x = std::sin(i * 12.9898) * 43758.5453 / 3;
    for (Ema* e : {&ema, &ema_parts}) e->add(x);
    for (Slope* s : {&slope, &slope_parts}) s->add(x);
    for (RobustBand* b : {&band, &band_parts}) b->add(x);
    const auto through = [](const hone::Json& state) {
      return hone::parse_json(state.dump(), "state");
    };
    Ema e(0.97);
    e.restore(through(ema_parts.state()));
    ema_parts = e;
    Slope s(7);
    s.restore(through(slope_parts.state()));
    slope_parts = s;
    RobustBand b(7);
    b.restore(through(band_parts.state()));
    band_parts = b;
    REQUIRE(ema.value() == ema_parts.value());
    REQUIRE(slope.value() == slope_parts.value());
    REQUIRE(band.state() == band_parts.state());
  }
}
