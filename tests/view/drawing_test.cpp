#include "hone/view/drawing.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "view/support.h"

namespace hone::view {
namespace {

using test::count;

TEST_CASE("shapes say what they are given, and nothing else") {
  CHECK(draw_dot(1, 2, 3, {"dot", "fill:red", "<1>"}) ==
        "<circle class=\"dot\" style=\"fill:red\" cx=\"1.0\" cy=\"2.0\" r=\"3\">"
        "<title>&lt;1&gt;</title></circle>");
  CHECK(draw_box(1, 2, 3, 4, {}) == "<rect x=\"1.0\" y=\"2.0\" width=\"3.0\" height=\"4.0\"/>");
}

TEST_CASE("a path breaks where a point is missing") {
  CHECK(draw_path({{0, 1}, {1, 2}, {2, NAN}, {3, 4}}, {}) ==
        "<path class=\"line\" d=\"M0.0 1.0L1.0 2.0M3.0 4.0\"/>");
  CHECK(draw_path({{0, NAN}}, {}).empty());
}

TEST_CASE("text that is cut is told whole to the pointer") {
  CHECK(draw_text(1, 2, "a<b", "end") ==
        "<text x=\"1.0\" y=\"2.0\" text-anchor=\"end\">a&lt;b</text>");
  CHECK(draw_text(1, 2, "abcdef", "start", "name", 4) ==
        "<text class=\"name\" x=\"1.0\" y=\"2.0\">abc…<title>abcdef</title></text>");
}

TEST_CASE("axes have a label a tick and their titles") {
  const Frame frame;
  const std::string svg = draw_axes(
      frame, {.low = 0, .high = 10, .begin = frame.left, .end = frame.x_end()},
      {.low = 1, .high = 1.0002, .begin = frame.y_end(), .end = frame.top}, "step", "loss");
  CHECK(count(svg, "class=\"axis\"") == 1);
  CHECK(count(svg, "class=\"grid\"") == 5);
  CHECK(count(svg, ">1.0001</text>") == 1);
  CHECK(count(svg, ">step</text>") == 1);
  CHECK(count(svg, ">loss</text>") == 1);
  CHECK(count(draw_axes(frame, {}, {}), "class=\"name\"") == 0);
}

TEST_CASE("a figure has caption, note and legend, escaped") {
  const std::string html = figure("a<b", "", legend_item("fill:red", "x&y", "3"), {}, "<g></g>");
  CHECK(html.starts_with("<figure><figcaption>a&lt;b</figcaption>"));
  CHECK(count(html, "<span><i style=\"fill:red\"></i>x&amp;y <b>3</b></span>") == 1);
  CHECK(count(html, "viewBox=\"0 0 640 300\"") == 1);
  CHECK(count(html, "<g></g>") == 1);
  CHECK(figure("a", "log scale", "", {}, "", "wide")
            .starts_with("<figure class=\"wide\"><figcaption>a <small>log scale</small>"));
}

TEST_CASE("the ramp goes from grey over blue to green, and its legend shows these") {
  CHECK(ramp_colour(0) == "#9aa3b2");
  CHECK(ramp_colour(0.5) == "#4a86e8");
  CHECK(ramp_colour(1) == "#0fb58a");
  CHECK(ramp_colour(NAN) == ramp_colour(-1));
  CHECK(count(ramp_legend("worst", "<best>"), "#9aa3b2,#4a86e8,#0fb58a)\"></i>&lt;best&gt;") == 1);
}

}  // namespace
}  // namespace hone::view
