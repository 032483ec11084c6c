#include "hone/run/html_report.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "hone/core/file.h"
#include "hone/io/json_lines.h"
#include "hone/io/metrics.h"
#include "hone/view/plot.h"
#include "io/support.h"
#include "view/support.h"

namespace hone::run {
namespace {

using test::count, test::decision;

using io::test::TemporaryFolder;

Json moment(int step, double medical, double general) {
  return {{"step", step},
          {"domains",
           {{{"domain", "medical"}, {"tokens", 900}, {"perplexity", medical}},
            {{"domain", "general"}, {"tokens", 1200}, {"perplexity", general}}}}};
}

/// The report of a run as hone-domain writes it.
Json sample_report() {
  return {{"about", "Adapts a base to medicine & law"},
          {"ending", "done"},
          {"steps", 300},
          {"tokens", 1228800},
          {"loss", 3.2145},
          {"seconds", 251.3},
          {"tokens_per_second", 4890.2},
          {"peak_memory_bytes", 851443712},
          {"before", moment(0, 182.4, 41.3)},
          {"after", moment(300, 44.8, 42.9)},
          {"vocabulary",
           {{"terms", 3},
            {"new_ids", 5},
            {"tokens", {"carcinoma", "plaintiff", "<script>"}},
            {"held_out",
             {{{"name", "medical"}, {"before", 21.4}, {"after", 18.2}},
              {{"name", "general"}, {"before", 15.1}, {"after", 15.0}}}}}}};
}

void write_sample_metrics(const std::string& folder) {
  io::MetricsWriter metrics(folder);
  for (int step = 0; step <= 300; ++step) {
    if (step % 50 == 0) {
      metrics.write({{"step", step},
                     {"evaluation",
                      {{{"name", "medical"}, {"perplexity", 44 + 138 * std::exp(-step / 60.0)}},
                       {{"name", "general"}, {"perplexity", 41.3 + step / 200.0}}}}});
    }
    if (step == 0) continue;
    const double noise = 0.3 * std::sin(step * 12.9898) * std::cos(step * 78.233);
    metrics.write(
        {{"step", step},
         {"loss", step == 40 ? NAN : 3.2 + 2.4 * std::exp(-step / 70.0) + noise},
         {"lr", 3e-4 * std::min(step / 30.0, 0.5 + 0.5 * std::cos(step / 95.5))},
         {"grad_norm", 0.8 + std::abs(noise) * 4},
         {"tokens_per_second", 4890 + 900 * noise},
         {"shares", {{"medical", 0.5 - step / 1500.0}, {"general", 0.5 + step / 1500.0}}}});
  }
}

TEST_CASE("a report holds every plot, the table, configuration and manifest") {
  const TemporaryFolder folder;
  write_sample_metrics(folder.path);
  folder.write("config.json", R"({"seed": 42})");
  folder.write("manifest.json", R"({"app": "hone-domain"})");
  write_report(folder.path, sample_report());
  CHECK(read_json_file(folder.file("report.json")) == sample_report());
  const std::string html = read_file(folder.file("report.html"));
  // HONE_KEEP_REPORT=<file> keeps the page to look at.
  if (const char* keep = std::getenv("HONE_KEEP_REPORT")) std::ofstream(keep) << html;

  for (const char* title : {"Training loss", "Held-out perplexity", "shares", "Learning rate",
                            "Gradient norm before clipping", "Tokens per second"}) {
    INFO(title);
    CHECK(count(html, std::string("<figcaption>") + title) == 1);
  }
  CHECK(count(html, "<figure>") == 6);
  CHECK(count(html, "class=\"change good\"") == 1);
  CHECK(count(html, "class=\"change bad\"") == 1);
  CHECK(count(html, "-75.4 %") == 1);
  CHECK(count(html, "<b>1,228,800</b>") == 1);
  CHECK(count(html, "<b>812 MiB</b>") == 1);
  CHECK(count(html, "<b>4 min 11 s</b><span>time</span>") == 1);
  CHECK(count(html, "&quot;seed&quot;: 42") == 1);
  CHECK(count(html, "&quot;app&quot;: &quot;hone-domain&quot;") == 1);
}

TEST_CASE("times of a report carry where they are rounded and know hours") {
  const auto shown = [](double seconds) {
    const Json report = {{"seconds", seconds}, {"waited_seconds", 7.25}};
    return render_report(report, view::Curves(), Json(), Json());
  };
  CHECK(count(shown(239.7), "<b>4 min 00 s</b><span>time</span>") == 1);
  CHECK(count(shown(7625), "<b>2 h 07 min</b><span>time</span>") == 1);
  CHECK(count(shown(7.25), "<b>7.2 s</b><span>waited</span>") == 1);
}

TEST_CASE("text of a report is escaped and the page asks for nothing from the network") {
  const std::string html = render_report(sample_report(), view::Curves(), Json(), Json());
  CHECK(count(html, "<h1>Adapts a base to medicine &amp; law</h1>") == 1);
  CHECK(count(html, "&lt;script&gt;") == 1);
  for (const char* word : {"<script", "http", "url(", "@import", "<link", "<img"}) {
    INFO(word);
    CHECK(count(html, word) == 0);
  }
}

TEST_CASE(
    "the first sentence of about is the heading, the rest stands small, the folder's name if "
    "none") {
  const std::string about = "Adapts to R&D. After base.json: hone-domain --out x";
  const std::string html = render_report({{"about", about}}, view::Curves(), Json(), Json());
  CHECK(count(html, "<title>Adapts to R&amp;D.</title>") == 1);
  CHECK(count(html, "<h1>Adapts to R&amp;D.</h1><p class=\"sub\">After base.json: hone-domain") ==
        1);
  const TemporaryFolder folder;
  for (const Json& report : {Json{{"ending", "done"}}, Json{{"about", ""}}}) {
    write_report(folder.path, report);
    const std::string name = std::filesystem::path(folder.path).filename().string();
    CHECK(count(read_file(folder.file("report.html")), "<h1>Run " + name + "</h1>") == 1);
    CHECK(read_json_file(folder.file("report.json")) == report);
  }
}

TEST_CASE("counts of data sets stand in one table, without what none of them has") {
  const auto set = [](const char* name, int rows, int bad) {
    return Json{{"name", name}, {"counts", {{"rows", rows}, {"bad_rows", bad}, {"dropped", 0}}}};
  };
  const Json data = {{"train", {set("law", 5, 0), set("medicine", 7, 2)}}};
  const std::string page = render_report({{"data", data}}, view::Curves(), Json(), Json());
  CHECK(page.find("<th class=\"number\">rows</th><th class=\"number\">bad rows</th></tr>") !=
        std::string::npos);
  CHECK(page.find(">medicine</td><td class=\"number\">7</td><td class=\"number\">2</td>") !=
        std::string::npos);
  CHECK(page.find("dropped") == std::string::npos);
}

TEST_CASE("an empty report is a page too; null perplexities are no numbers") {
  CHECK(count(render_report(Json::object(), view::Curves(), Json(), Json()), "<figure>") == 0);
  Json report = {{"before", moment(0, 2, 3)}, {"after", moment(1, 2, 3)}};
  report["after"]["domains"][0]["perplexity"] = nullptr;
  const std::string html = render_report(report, view::Curves(), Json(), Json());
  CHECK(count(html, "nan") == 0);
  CHECK(count(html, "class=\"change") == 1);
}

TEST_CASE("lines break where a value is missing, long ones are thinned but keep their spikes") {
  using view::render_plot;
  CHECK(count(render_plot("t", {{"a", {{0, 1}, {1, NAN}, {2, 1}}}}), "M") == 2);
  CHECK(render_plot("t", {{"a", {{0, NAN}}}}).empty());
  CHECK(count(render_plot("t", {{"a", {{0, 1}, {1, 100}}}}), "log scale") == 1);
  CHECK(count(render_plot("t", {{"a", {{0, 0}, {1, 100}}}}), "log scale") == 0);
  view::Series line{"a", {}};
  for (int i = 0; i < 100'000; ++i) line.points.emplace_back(i, i == 51'234 ? 9 : 1);
  const std::string plot = render_plot("t", {line});
  CHECK(plot.size() < 40'000);
  const view::Series spike{"a", {{0, 1}, {1, 9}}};
  const std::string top =
      render_plot("t", {spike}).substr(render_plot("t", {spike}).rfind("cy="), 9);
  CHECK(count(plot, top.substr(4, 4)) >= 1);
}

TEST_CASE("ticks that lie close have the digits that tell them apart") {
  const std::string plot = view::render_plot("t", {{"a", {{0, 23.251}, {1, 23.259}}}});
  CHECK(count(plot, ">23.252</text>") == 1);
  CHECK(count(plot, ">23.258</text>") == 1);
  const std::string wide = view::render_plot("t", {{"a", {{100'000, 1}, {100'020, 2}}}});
  CHECK(count(wide, ">100,010</text>") == 1);
}

TEST_CASE("smoothing starts without bias and passes gaps over") {
  view::Series raw{"a", {}};
  for (int i = 0; i < 500; ++i) raw.points.emplace_back(i, i == 7 ? NAN : 2.0);
  const view::Series smooth = view::smoothed(raw, "s");
  CHECK(smooth.points.size() == 499);
  CHECK(smooth.points[0].second == Approx(2));
  CHECK(smooth.points[498].second == Approx(2));
}

TEST_CASE("a report draws the folder's decisions and heads") {
  const TemporaryFolder folder;
  io::JsonLines metrics(folder.file("metrics.jsonl")), decisions(folder.file("decisions.jsonl"));
  for (int step = 1; step <= 10; ++step) {
    metrics.write({{"step", step}, {"loss", 2}, {"heads_alive", {{"0", 4 - step / 5}}}});
  }
  decisions.write({{"run", Json::object()}});
  decisions.write(decision(5, "prune", 4, 3));
  write_report(folder.path, {{"about", "x"}});
  const std::string html = read_file(folder.file("report.html"));
  CHECK(count(html, "<g class=\"mark\"") == 1);
  CHECK(count(html, "<rect class=\"heat\"") == 3);
  CHECK(count(html, "<td>prune</td>") == 1);
}

}  // namespace
}  // namespace hone::run
