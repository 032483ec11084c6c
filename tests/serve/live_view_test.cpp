#include "hone/serve/live_view.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "hone/core/json.h"
#include "hone/io/files.h"
#include "hone/io/json_lines.h"
#include "hone/io/json_tail.h"
#include "serve/http_client.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace hone::serve {
namespace {

using namespace std::chrono_literals;
using test::body_of;
using test::fetch;

Json row(int step, double loss = 2.0) {
  return {{"step", step}, {"loss", loss}, {"heads_alive", {{"0", 8}, {"1", 6}}}};
}

Json decision(int step) {
  return {{"step", step},       {"controller", "plateau"},
          {"rule", "r"},        {"signals", Json::object()},
          {"knob", "lr_scale"}, {"old", 1.0},
          {"new", 0.5},         {"applied", true}};
}

Json data(const LiveView& view, const Json& from = 0) {
  return Json::parse(body_of(fetch(view.port(), "/data?from=" + from.dump())));
}

/// Asks until `wanted` holds; the server looks at the files at most twice a second.
Json data_when(const LiveView& view, const std::function<bool(const Json&)>& wanted) {
  for (int i = 0; i < 400; ++i) {
    Json now = data(view);
    if (wanted(now)) return now;
    std::this_thread::sleep_for(50ms);
  }
  FAIL("the view never showed it: " << data(view).dump());
  return {};
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
  return found;
}

TEST_CASE("the page, what it asks for, and its policy") {
  const TemporaryFolder folder;
  std::ofstream(folder.path + "/config.json") << R"({"about": "<b>medicine</b> & law"})";
  const LiveView view(folder.path, 0);
  CHECK(view.url() == "http://127.0.0.1:" + std::to_string(view.port()) + "/");
  const std::string page = fetch(view.port(), "/");
  CHECK(count(page, "HTTP/1.1 200 OK") == 1);
  CHECK(count(page, "Content-Type: text/html; charset=utf-8") == 1);
  CHECK(count(page, "script-src 'self'") == 1);
  CHECK(count(page, "<script") == 1);
  CHECK(count(page, "<script src=\"/live.js\">") == 1);
  CHECK(count(page, "<h1>&lt;b&gt;medicine&lt;/b&gt; &amp; law</h1>") == 1);
  CHECK(count(page, "prefers-color-scheme:dark") == 1);
  CHECK(count(page, "http://") + count(page, "https://") == 0);
  const std::string script = fetch(view.port(), "/live.js");
  CHECK(count(script, "Content-Type: text/javascript; charset=utf-8") == 1);
  CHECK(count(script, "innerHTML") == 0);
  CHECK(body_of(fetch(view.port(), "/healthz")) == "ok\n");
  CHECK(count(fetch(view.port(), "/metrics.jsonl"), "404") == 1);
}

TEST_CASE("rows, decisions and the end of the run are shown as they come") {
  const TemporaryFolder folder;
  const LiveView view(folder.path, 0);
  Json now = data(view);
  CHECK(now["state"] == "running");
  CHECK(now["step"].is_null());
  CHECK(now["html"] == "");
  CHECK(data(view, now["version"]).contains("html") == false);

  io::JsonLines metrics(folder.path + "/metrics.jsonl");
  for (int step = 1; step <= 3; ++step) metrics.write(row(step));
  now = data_when(view, [](const Json& seen) { return seen["step"] == 3; });
  CHECK(count(now["html"], "<figcaption>Training loss") == 1);
  CHECK(count(now["html"], "<figcaption>heads alive") == 1);
  CHECK(count(now["html"], "class=\"mark\"") == 0);

  io::JsonLines decisions(folder.path + "/decisions.jsonl");
  decisions.write({{"run", Json::object()}});
  decisions.write(decision(2));
  now = data_when(view,
                  [](const Json& seen) { return count(seen["html"], "<g class=\"mark\"") == 1; });
  CHECK(count(now["html"], "<td>plateau</td>") == 1);

  std::ofstream(folder.path + "/report.json") << R"({"ending": "done"})";
  now = data_when(view, [](const Json& seen) { return seen["ended"] == true; });
  CHECK(now["state"] == "ended: done");
  // The run is gone on with.
  std::this_thread::sleep_for(20ms);
  metrics.write(row(4));
  now = data_when(view, [](const Json& seen) { return seen["ended"] == false; });
  CHECK(now["state"] == "running");
}

TEST_CASE("a run that is gone on with from a checkpoint is drawn anew") {
  const TemporaryFolder folder;
  const LiveView view(folder.path, 0);
  io::JsonLines metrics(folder.path + "/metrics.jsonl");
  io::JsonLines decisions(folder.path + "/decisions.jsonl");
  for (int step = 1; step <= 9; ++step) metrics.write(row(step, step));
  decisions.write(decision(2));
  decisions.write(decision(8));
  data_when(view, [](const Json& seen) {
    return seen["step"] == 9 && count(seen["html"], "<g class=\"mark\"") == 2;
  });
  metrics.rewind(5);
  decisions.rewind(5);
  data_when(view, [](const Json& seen) {
    return seen["step"] == 5 && count(seen["html"], "<g class=\"mark\"") == 1;
  });
  metrics.write(row(6, 0.5));
  const Json now = data_when(view, [](const Json& seen) { return seen["step"] == 6; });
  CHECK(count(now["html"], "loss, smoothed") > 0);
}

TEST_CASE("versions that are none, and files that cannot be read, are said so") {
  const TemporaryFolder folder;
  const LiveView view(folder.path, 0);
  for (const char* from : {"", "x", "-1", "1.5", "%31", "99999999999999999999999", "1&from=2x"}) {
    INFO(from);
    const bool good = std::string(from) == "1&from=2x";  // the first one counts
    CHECK(count(fetch(view.port(), std::string("/data?from=") + from), "400 Bad") == !good);
  }
  CHECK(count(fetch(view.port(), "/data"), "200 OK") == 1);
  std::filesystem::create_directory(folder.path + "/metrics.jsonl");
  const Json now = data_when(view, [](const Json& seen) { return seen["state"] != "running"; });
  CHECK(count(now["state"], "metrics.jsonl: cannot read") == 1);
}

TEST_CASE("hostile names and lines that are no JSON do not reach the page as markup") {
  const TemporaryFolder folder;
  const std::string evil = "</script><img src=x onerror=alert(1)>";
  {
    std::ofstream file(folder.path + "/metrics.jsonl");
    file << "{\"step\": 1, \"loss\": 1}\n<img src=y>\n\n"
         << Json({{"step", 2}, {evil, {{evil, 2}}}}).dump() << "\n"
         << std::string(3 << 20, 'x') << "\n"
         << "{\"step\": 3, \"loss\": 1, \"loss\": 2}\n{\"step\": 4, \"loss\": 1}\n";
  }
  const LiveView view(folder.path, 0);
  const Json now = data_when(view, [](const Json& seen) { return seen["behind"] == false; });
  CHECK(now["step"] == 4);
  CHECK(now["state"] == "running; 3 lines are no JSON and were passed over");
  CHECK(count(now["html"], "<img") == 0);
  CHECK(count(now["html"], "&lt;img src=x") >= 2);
}

using End = io::JsonTail::End;

std::vector<int> steps_of(io::JsonTail& tail, End expected) {
  std::vector<int> steps;
  CHECK(tail.read([&steps](const Json& row) { steps.push_back(row["step"]); }) == expected);
  return steps;
}

TEST_CASE("a tail gives each row once, leaves a torn line, and notices what is gone") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/m.jsonl";
  io::JsonTail tail(path);
  CHECK(steps_of(tail, End::kReached).empty());
  const auto append = [&path](const std::string& text) {
    std::ofstream(path, std::ios::app) << text;
  };
  append("{\"step\":1}\n{\"step\":2}\n{\"st");
  CHECK(steps_of(tail, End::kReached) == std::vector{1, 2});
  CHECK(steps_of(tail, End::kReached).empty());
  append("ep\":3}\n");
  CHECK(steps_of(tail, End::kReached) == std::vector{3});
  append("{\"step\":44");
  CHECK(steps_of(tail, End::kReached).empty());
  {
    io::JsonLines cuts_the_torn_line(path);
  }
  append("{\"step\":4,\"padding\":\"so that the file is longer than it was\"}\n");
  CHECK(steps_of(tail, End::kReached) == std::vector{4});

  io::JsonLines(path).rewind(2);
  CHECK(steps_of(tail, End::kRewound).empty());
  CHECK(steps_of(tail, End::kReached) == std::vector{1, 2});
  std::ofstream(path) << "{\"step\":7}\n";  // shorter, in place
  CHECK(steps_of(tail, End::kRewound).empty());
  CHECK(steps_of(tail, End::kReached) == std::vector{7});
  std::filesystem::remove(path);
  CHECK(steps_of(tail, End::kReached).empty());
  CHECK(tail.broken() == 0);
}

TEST_CASE("a tail takes a MiB at a time and passes lines over that are longer") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/m.jsonl";
  {
    std::ofstream file(path);
    for (int step = 0; step < 3000; ++step) {
      file << Json({{"step", step}, {"padding", std::string(1000, 'x')}}).dump() << "\n";
    }
    file << std::string((1 << 20) - 1, ' ') << "\n"
         << std::string(5 << 20, ' ') << "\n{\"step\":1}\n";
  }
  io::JsonTail tail(path);
  std::vector<int> steps;
  int reads = 1;
  while (tail.read([&steps](const Json& row) { steps.push_back(row["step"]); }) == End::kAhead) {
    ++reads;
  }
  CHECK(steps.size() == 3001);
  CHECK(steps.back() == 1);
  CHECK(tail.broken() == 2);
  CHECK(reads >= 8);
}

}  // namespace
}  // namespace hone::serve
