#include "hone/io/metrics.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "support.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

std::vector<std::string> event_files(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST_CASE("a row is a line; what is not finite is null") {
  const TemporaryFolder folder;
  MetricsWriter metrics(folder.path);
  metrics.write({{"step", 1}, {"loss", NAN}, {"lr", 0.5}});
  metrics.write({{"note", "no step"}});
  CHECK(read_file(folder.file("metrics.jsonl")) ==
        "{\"step\":1,\"loss\":null,\"lr\":0.5}\n{\"note\":\"no step\"}\n");
}

TEST_CASE("scalars of a row, of its objects and of evaluations go to TensorBoard") {
  const TemporaryFolder folder;
  MetricsWriter metrics(folder.path);
  metrics.write({{"note", 1}});
  CHECK(event_files(folder.path).empty());
  metrics.write({{"step", 300},
                 {"loss", 1.5},
                 {"bad", INFINITY},
                 {"skipped", true},
                 {"shares", {{"law", 0.25}}},
                 {"evaluation", {{{"name", "held"}, {"perplexity", 9.0}, {"tokens", 4}}}}});
  REQUIRE(event_files(folder.path).size() == 1);
  const std::string bytes = read_file(event_files(folder.path)[0]);
  const auto holds = [&](const std::string& tag, float value) {
    std::string item = "\x0a" + std::string(1, static_cast<char>(tag.size())) + tag + "\x15";
    item.append(reinterpret_cast<const char*>(&value), 4);
    return bytes.find(item) != std::string::npos;
  };
  CHECK(holds("loss", 1.5F));
  CHECK(holds("shares/law", 0.25F));
  CHECK(holds("perplexity/held", 9.0F));
  for (const char* tag : {"bad", "skipped", "step", "tokens", "note"}) {
    INFO(tag);
    CHECK(bytes.find(tag) == std::string::npos);
  }
}

TEST_CASE("rewind drops later rows and starts a new event file") {
  const TemporaryFolder folder;
  {
    MetricsWriter metrics(folder.path);
    metrics.write({{"about", "run"}});
    for (int step = 1; step <= 4; ++step) metrics.write({{"step", step}, {"loss", 1.0 / step}});
  }
  const std::string before = read_file(folder.file("metrics.jsonl"));
  MetricsWriter metrics(folder.path);
  metrics.rewind(4);
  CHECK(read_file(folder.file("metrics.jsonl")) == before);
  metrics.rewind(2);
  metrics.write({{"step", 3}, {"loss", 7.0}});
  const std::vector<Json> rows = read_json_lines(folder.file("metrics.jsonl"));
  REQUIRE(rows.size() == 4);
  CHECK(rows[0]["about"] == "run");
  CHECK(rows[2]["step"] == 2);
  CHECK(rows[3]["loss"] == 7.0);
  CHECK(event_files(folder.path).size() == 2);
}

TEST_CASE("a new event file sorts after those there, whatever the clock says") {
  const TemporaryFolder folder;
  folder.write("events.out.tfevents.9999999998.host.1.0", "");
  const EventWriter writer(folder.path);
  CHECK(event_files(folder.path).back() == writer.path());
}

TEST_CASE("a log cut at any byte loses its last row at most") {
  const TemporaryFolder folder;
  std::string whole;
  {
    MetricsWriter metrics(folder.path);
    for (int step = 1; step <= 3; ++step) metrics.write({{"step", step}});
    whole = read_file(folder.file("metrics.jsonl"));
  }
  for (size_t size = 0; size <= whole.size(); ++size) {
    INFO(size);
    folder.write("metrics.jsonl", whole.substr(0, size));
    const auto complete = std::count(whole.begin(), whole.begin() + size, '\n');
    CHECK(static_cast<long>(read_json_lines(folder.file("metrics.jsonl")).size()) == complete);
    MetricsWriter metrics(folder.path);
    metrics.write({{"step", 9}});
    const auto rows = read_json_lines(folder.file("metrics.jsonl"));
    REQUIRE(static_cast<long>(rows.size()) == complete + 1);
    CHECK(rows.back()["step"] == 9);
  }
}

TEST_CASE("a broken line is named unless it is the last") {
  const TemporaryFolder folder;
  const std::string path = folder.write("metrics.jsonl", "{\"step\":1}\nxx\n");
  CHECK(read_json_lines(path).size() == 1);
  folder.write("metrics.jsonl", "{\"step\":1}\nxx\n{\"step\":2}\n");
  CHECK_THROWS_WITH(read_json_lines(path), path + ":2: is no JSON");
}

}  // namespace
}  // namespace hone::io
