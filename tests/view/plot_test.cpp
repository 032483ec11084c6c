#include "hone/view/plot.h"

#include <catch2/catch.hpp>
#include <cmath>

namespace hone::view {
namespace {

TEST_CASE("thinning keeps extremes and gaps") {
  Points points;
  for (int i = 0; i < 1000; ++i) points.emplace_back(i, i == 500 ? 9 : i == 501 ? NAN : 1);
  for (int i = 900; i < 1000; ++i) points[i].second = NAN;
  const Points thin = thinned(points, 10);
  REQUIRE(thin.size() == 11);
  CHECK(thin[5] == std::pair(500.0, 9.0));
  CHECK(thin[6] == std::pair(502.0, 1.0));
  CHECK(std::isnan(thin[10].second));
  CHECK(thinned(points, 500).size() == 1000);
}

TEST_CASE("what smoothing gives is unbiased from its first point on, and keeps gaps") {
  Series raw{.name = "loss"};
  for (int i = 0; i < 200; ++i) raw.points.emplace_back(i, 3);
  const Series smooth = smoothed(raw, "loss, smoothed");
  CHECK(smooth.name == "loss, smoothed");
  REQUIRE(smooth.points.size() == 200);
  for (const auto& [x, y] : smooth.points) CHECK(y == Approx(3));
  raw.points[0].second = 5;
  const Points moved = smoothed(raw, "").points;
  CHECK(moved[0].second == Approx(5));
  CHECK(moved[1].second < 5);
  CHECK(moved[1].second > moved[2].second);
  CHECK(moved[199].second < 3.01);
}

TEST_CASE("nothing to draw is no figure") {
  CHECK(render_plot("t", {}) == "");
  CHECK(render_plot("t", {{.name = "a"}}) == "");
  CHECK(render_plot("t", {{.name = "a", .points = {{1, NAN}}}}) == "");
  CHECK(render_heat_map({.title = "t"}) == "");
  CHECK(render_heat_map({.title = "t", .rows = {{"0", {}}}, .end = 3}) == "");
}

TEST_CASE("a plot has its title, a line a series and a mark's text, escaped") {
  const std::string html =
      render_plot("a<b", {{.name = "x&y", .points = {{0, 1}, {1, 2}}}, {"z", {{0, 2}, {1, 1}}}},
                  {.marks = {{.x = 0.5, .name = "m", .text = "p>q"}}});
  CHECK(html.starts_with("<figure"));
  for (const char* part : {"a&lt;b", "x&amp;y", "p&gt;q"}) {
    CHECK(html.find(part) != std::string::npos);
  }
  CHECK(html.find("a<b") == std::string::npos);
}

TEST_CASE("a change is drawn from its ring to its dot on a logarithmic scale, falling as good") {
  const auto has = [](const std::string& html, const char* part) {
    return html.find(part) != std::string::npos;
  };
  const std::string falls = render_change(100, 10, 1, 100), rises = render_change(10, 100, 1, 100);
  for (const char* part :
       {"class=\"change good\"", "class=\"from\" cx=\"252.0\"", "<circle cx=\"130.0\""}) {
    CHECK(has(falls, part));
  }
  CHECK(has(rises, "class=\"change bad\""));
  CHECK(has(rises, "class=\"from\" cx=\"130.0\""));
  CHECK(has(render_change(5, 5, 5, 5), "class=\"change good\""));
}

}  // namespace
}  // namespace hone::view
