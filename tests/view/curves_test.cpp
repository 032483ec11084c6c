#include "hone/view/curves.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "view/support.h"

namespace hone::view {
namespace {

using test::count, test::decision;

/// A run of 100 steps with these heads alive.
Curves sample(const std::vector<std::pair<std::string, int>>& heads = {{"0", 8}, {"1", 6}}) {
  Curves curves;
  for (int step = 1; step <= 100; ++step) {
    Json row = {{"step", step}, {"loss", 3.0 - step / 100.0}, {"heads_alive", Json::object()}};
    for (const auto& [layer, alive] : heads) {
      row["heads_alive"][layer] = step < 50 ? 8 : alive;
    }
    curves.add_row(row);
  }
  return curves;
}

TEST_CASE("decisions are marks on the loss plot and rows of a table, the latest first") {
  Curves curves = sample();
  curves.add_decision({{"run", {{"config", {{"seed", 1}}}}}});  // the file's first line
  curves.add_decision(decision(20, "plateau", 1.0, 0.5));
  curves.add_decision(decision(60, "plateau", 0.5, 0.25));
  Json dry = decision(80, "batch", 4, 8);
  dry["applied"] = false;
  curves.add_decision(dry);
  const std::string html = curves.render();
  const std::string loss = html.substr(0, html.find("</figure>"));
  CHECK(count(loss, "<figcaption>Training loss") == 1);
  CHECK(count(loss, "<g class=\"mark\"") == 3);
  CHECK(count(loss, "<i class=\"mark\"") == 2);  // one a controller
  CHECK(count(loss, "<title>step 60: lr_scale 0.5 → 0.25</title>") == 1);
  CHECK(count(html, "<g class=\"mark\"") == 3);
  CHECK(count(html, "<td>plateau</td>") == 2);
  CHECK(count(html, "<td>4 → <b>8</b> <small>dry run</small></td><td>loss_mean 3.21</td>") == 1);
  CHECK(count(html, "dry run") == 1);
  CHECK(html.find("<td class=\"number\">80</td>") < html.find("<td class=\"number\">20</td>"));
  CHECK(curves.last_step() == 100);
}

TEST_CASE("decisions are told in words, and the run's own snapshots are left out") {
  Curves curves = sample();
  Json prune =
      decision(30, "pruning", {{"0", {1, 1}}, {"1", {1, 1}}}, {{"0", {1, 0}}, {"1", {1, 1}}});
  prune["knob"] = "heads";
  curves.add_decision(prune);
  for (int step = 1; step < 99; ++step) {
    Json snapshot = decision(step, "spike", Json(), "spike-0");
    snapshot["knob"] = "snapshot";
    curves.add_decision(snapshot);
  }
  Json cut = decision(60, "pruning", Json(), "heads");
  cut["knob"] = "cut";
  curves.add_decision(cut);
  curves.add_decision(decision(70, "rules", {{"law", 1.0}}, {{"law", 0.30000000000000004}}));
  const std::string html = curves.render();
  CHECK(count(html, "<td>4 of 4 heads → <b>3 of 4 heads</b></td>") == 1);
  CHECK(count(html, "<title>step 30: heads 4 of 4 heads → 3 of 4 heads</title>") == 1);
  CHECK(count(html, "<td>cut</td><td><b>heads</b></td>") == 1);
  CHECK(count(html, "<td>law 1 → <b>law 0.3</b></td>") == 1);
  CHECK(count(html, "spike") == 0);
  CHECK(count(html, "latest first") == 1);
}

TEST_CASE("every signal has a plot and a scale of its own, those of one family share them") {
  Curves curves;
  for (int step : {1, 2}) {
    curves.add_row({{"step", step},
                    {"heads_alive", {{"0", 4}}},
                    {"signals",
                     {{"loss_mean", 2.5},
                      {"memory_headroom", 3LL << 30},
                      {"heads_alive/0", 4},
                      {"train/law", 3.5},
                      {"update_ratio/0", 1e-4 * step},
                      {"update_ratio/1", 2e-4 * step},
                      {"odd", "text"}}}});
  }
  const std::string html = curves.render();
  const std::string signals = html.substr(html.find("<div class=\"multiples\">"));
  CHECK(count(html, "<figcaption>signals") == 0);
  CHECK(count(html, "<figcaption>heads alive") == 1);  // the heat map alone
  CHECK(count(signals, "<figure>") == 4);
  CHECK(count(signals, "<figcaption>train, law</figcaption>") == 1);
  CHECK(count(signals, "loss mean</figcaption><div class=\"legend\"><span><b>2.5</b>") == 1);
  CHECK(count(signals, "<figcaption>memory headroom, GiB</figcaption>") == 1);
  CHECK(count(signals, "<b>3</b>") == 1);
  CHECK(count(signals, "<figcaption>update ratio</figcaption>") == 1);
  CHECK(count(signals, "<path class=\"line\"") == 5);
  CHECK(count(signals, "</i>0 <b>0.0002</b>") == 1);
  CHECK(count(signals, "</i>1 <b>0.0004</b>") == 1);
}

TEST_CASE("a family of more lines than colours names its first and last") {
  Curves curves;
  Json signals = Json::object();
  for (int layer = 0; layer < 32; ++layer) signals["rms/" + std::to_string(layer)] = layer;
  curves.add_row({{"step", 1}, {"signals", signals}});
  const std::string html = curves.render();
  CHECK(count(html, "<span>32 lines, 0 to 31</span>") == 1);
  CHECK(count(html, "<title>31: 31</title>") == 1);
}

TEST_CASE("marks that fall on one pixel are one mark") {
  Curves curves = sample();
  for (int i = 0; i < 5000; ++i) curves.add_decision(decision(50, "c", i, i + 1));
  const std::string html = curves.render();
  CHECK(count(html, "<g class=\"mark\"") == 1);
  CHECK(count(html, "and 992 more") == 1);  // of the 1000 kept eight are told
  CHECK(count(html, "the latest 100 of 5000") == 1);
  CHECK(count(html, "4999 → <b>5000</b>") == 1);
}

TEST_CASE("heads alive are a heat map with a cell for every change") {
  const std::string html = sample().render();
  CHECK(count(html, "<figcaption>heads alive") == 1);
  CHECK(count(html, "<rect class=\"heat\"") == 3);
  CHECK(count(html, "<title>0: 8 from 1</title>") == 1);
  CHECK(count(html, "<title>1: 8 from 1</title>") == 1);
  CHECK(count(html, "<title>1: 6 from 50</title>") == 1);
  CHECK(count(html, "fill-opacity:0.750") == 1);

  // The cell of six ends with the map: from step 50 of [1, 100] over a drawing of 568.
  const size_t cell = html.rfind("<rect class=\"heat\"");
  CHECK(count(html.substr(cell), "x=\"339.1\"") == 1);
  CHECK(count(html.substr(cell), "width=\"286.9\"") == 1);
}

TEST_CASE("of lists the latest is drawn; other objects are lines") {
  Curves curves;
  for (int step : {1, 2}) {
    curves.add_row({{"step", step},
                    {"head_importance", {{"0", {0.5, step}}, {"1", {0, 1}}}},
                    {"shares", {{"law", 0.25}}}});
  }
  const std::string html = curves.render();
  CHECK(count(html, "<figcaption>head importance <small>at step 2</small>") == 1);
  CHECK(count(html, "<rect class=\"heat\"") == 4);
  CHECK(count(html, "<title>0: 2 from 1</title>") == 1);
  CHECK(count(html, "<figcaption>shares") == 1);
}

TEST_CASE("names and values of rows are escaped wherever they are shown") {
  const std::string evil = "\"'><img src=x onerror=alert(1)>";
  Curves curves = sample({{evil, 3}});
  curves.add_row({{"step", 101},
                  {evil, {{evil, 1.0}}},
                  {evil + "_alive", {{evil, 1}}},
                  {evil + "s", {{evil, {1, 2}}}},
                  {"evaluation", {{{"name", evil}, {"perplexity", 3}}}}});
  Json row = decision(50, evil, evil, evil);
  row["rule"] = row["knob"] = evil;
  row["signals"] = {{evil, 1}};
  curves.add_decision(row);
  const std::string html = curves.render();
  CHECK(count(html, "&lt;img src=x onerror=alert(1)&gt;") >= 12);
  CHECK(count(html, "<img") == 0);
  CHECK(count(html, "\"'") == 0);
}

TEST_CASE("rows that are none are passed over, long text is cut between characters") {
  Curves curves;
  for (const char* text : {"[]", "3", "{}", R"({"step": "1"})", R"({"loss": 1})"}) {
    curves.add_row(Json::parse(text));
    curves.add_decision(Json::parse(text));
  }
  curves.add_row(Json::parse(R"({"step":1,"loss":"x","evaluation":[1,{"name":2}],"a":{"b":"c"},
      "heads_alive":{},"x_alive":{"0":"8"},"importance":{"0":[]}})"));
  CHECK(curves.render().empty());
  Json row = decision(1, "c", 1, 2);
  row["rule"] = "";
  for (int i = 0; i < 300; ++i) row["rule"] = row["rule"].get<std::string>() + "ä";
  curves.add_decision(row);
  std::string cut;
  for (int i = 0; i < 80; ++i) cut += "ä";
  CHECK(count(curves.render(), "<td>" + cut + "…</td>") == 1);
}

TEST_CASE("memory and page stay bounded in a long run with many names, and spikes stay") {
  Curves curves;
  for (int step = 1; step <= 60'000; ++step) {
    curves.add_row({{"step", step}, {"loss", step == 1234 ? 7.0 : 1.0 + (step % 2) * 0.5}});
  }
  for (int step = 60'001; step < 60'010; ++step) {
    Json row = {{"step", step}, {"loss", 1.25}, {"shares", Json::object()}};
    for (int name = 0; name < 2000; ++name) row["shares"][std::to_string(name)] = 0.5;
    curves.add_row(row);
  }
  const std::string html = curves.render();
  CHECK(html.size() < 300'000);
  CHECK(count(html, "the first 512 lines") == 1);
  // The spike is the highest point: 5 % below the plot's top.
  Curves high;
  high.add_row({{"step", 1}, {"loss", 1.0}});
  high.add_row({{"step", 2}, {"loss", 7.0}});
  const std::string two = high.render();
  const std::string top = two.substr(two.find('L') + 6, 5);
  INFO(top);
  CHECK(count(html.substr(0, html.find("</figure>")), top) >= 1);
  // The smooth line ends at the mean.
  CHECK(count(html, "loss, smoothed <b>1.24") + count(html, "loss, smoothed <b>1.25") == 1);
}

}  // namespace
}  // namespace hone::view
