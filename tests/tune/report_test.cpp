#include "hone/tune/report/report.h"

#include <string>
#include <vector>

#include "hone/tune/report/detail/report_parts.h"
#include "sample_study.h"
#include "support/catch.h"
#include "view/support.h"

using namespace hone;
using namespace hone::tune;
using Catch::Contains;

namespace {

using test::count;

/// What is wrong with the nesting of tags; "" if nothing is. Text between quotes is passed over.
std::string nesting_problem(const std::string& html) {
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at)) {
    size_t end = at + 1;
    for (bool quoted = false; end < html.size() && (quoted || html[end] != '>'); ++end) {
      if (html[end] == '"') quoted = !quoted;
    }
    std::string tag = html.substr(at + 1, end - at - 1);
    at = end;
    const bool closed = tag.ends_with('/') || tag.starts_with('!') || tag.starts_with("meta");
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (name == "style" || name == "script") at = html.find("</" + name, at);
    if (closed) continue;
    if (name[0] != '/') {
      open.push_back(name);
    } else if (open.empty() || open.back() != name.substr(1)) {
      return name + " closes " + (open.empty() ? "nothing" : open.back());
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : open.back() + " is not closed";
}

}  // namespace

TEST_CASE("The page has every part, is whole and needs no network") {
  const std::string page = render_study_report(sample::study(60), {.objectives = {"loss"}});
  CHECK(nesting_problem(page) == "");
  for (const char* part : {"History of loss", "Reported values", "Importance of parameters",
                           "Parallel coordinates", "loss by parameter", "Two parameters together",
                           "Timeline", "Share of trials", "The best trial", "Trials <small>",
                           "needs 12.3 GiB of &lt;8 GiB&gt;", "host:2", "log scale"}) {
    CHECK_THAT(page, Contains(part));
  }
  for (const char* away : {"http", "src=", "href=", "url(", "@import", "nan", "inf\""}) {
    INFO(away);
    CHECK_THAT(page, !Contains(away));
  }
  CHECK(count(page, "<tr>") == 61 + 1 + 2);  // trials, their header, the best and its header
}

TEST_CASE("Every table has a heading for each of its columns") {
  const std::string page = render_study_report(sample::study(12));
  size_t tables = 0;
  for (size_t at = page.find("<table"); at != std::string::npos; at = page.find("<table", at + 1)) {
    const size_t head = page.find("</tr>", at), row = page.find("</tr>", head + 1);
    CHECK(count(page.substr(at, head - at), "<th") - 1 ==  // <thead>
          count(page.substr(head, row - head), "<td"));
    ++tables;
  }
  CHECK(tables == 2);
}

TEST_CASE("Names, choices and reasons are escaped wherever they stand") {
  const std::string page =
      render_study_report(sample::study(30), {.title = "<i>", .objectives = {"<b onload=\"x\">"}});
  for (const char* raw :
       {"<script>alert", "</script>\"", "<i>", "kind <b>", "<b onload", "<8 GiB"}) {
    INFO(raw);
    CHECK_THAT(page, !Contains(raw));
  }
  CHECK_THAT(render_study_report(sample::study(30)),
             Contains("study &lt;script&gt;alert(1)&lt;/script&gt;"));
  CHECK(count(page, "<script>") == 1);
}

TEST_CASE("Two objectives have a front, each a history and slices") {
  const std::string page =
      render_study_report(sample::two_objectives(60), {.objectives = {"loss", "speed"}});
  CHECK(nesting_problem(page) == "");
  for (const char* part : {"The Pareto front", "History of speed", "speed by parameter",
                           "minimize loss, maximize speed", "on the front"}) {
    CHECK_THAT(page, Contains(part));
  }
  const size_t begin = page.rfind("<figure", page.find("on the front"));
  CHECK_THAT(page.substr(begin, page.find("</figure>", begin) - begin),
             Contains("class=\"line thread\""));
}

TEST_CASE("Studies with nothing, one trial, and values that cannot be drawn have pages") {
  CHECK_THAT(render_study_report({"empty", {Direction::kMinimize}, {}}), Contains("empty"));
  for (int64_t trials = 0; trials < 8; ++trials) {
    CHECK(nesting_problem(render_study_report(sample::study(trials))) == "");
    CHECK(nesting_problem(render_study_report(sample::two_objectives(trials))) == "");
  }
  StudyView odd = sample::study(12);
  const double values[] = {INFINITY, -INFINITY, 1e308, -1e308, 0, 5e-324};
  for (size_t i = 0; i < 12; ++i) {
    auto trial = std::make_shared<Trial>(*odd.trials[i]);
    if (trial->state == TrialState::kComplete) trial->values = {values[i % 6]};
    trial->intermediate[-5] = values[i % 6];
    trial->intermediate[1'000'000'000'000] = NAN;
    trial->start = std::numeric_limits<Time>::max() - static_cast<Time>(i);
    trial->params[0].distribution = CategoricalDistribution{{"another", "kind"}};
    odd.trials[i] = trial;
  }
  CHECK(nesting_problem(render_study_report(odd)) == "");
}

TEST_CASE("Ten thousand trials make a page that a browser can take, and it says what it left out") {
  const std::string page = render_study_report(sample::study(10'000));
  CHECK(page.size() < 6'000'000);
  CHECK_THAT(page, Contains("the best 1,000 of 10,001"));
  CHECK_THAT(page, Contains("drawn"));
  CHECK(nesting_problem(page) == "");
}

TEST_CASE("A spread keeps the first ones and reaches the end") {
  CHECK(detail::spread(3, 5) == std::vector<size_t>{0, 1, 2});
  CHECK(detail::spread(101, 6) == std::vector<size_t>{0, 20, 40, 60, 80, 100});
  CHECK(detail::spread(101, 10, 2) == std::vector<size_t>{0, 1, 2, 16, 30, 44, 58, 72, 86, 100});
}
