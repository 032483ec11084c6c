#include "hone/infer/sampling.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <map>

#include "hone/core/error.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace hone::serve {
namespace {

constexpr float kDropped = -std::numeric_limits<float>::infinity();
using Row = std::vector<float>;

TEST_CASE("Logits processors on rows worked out by hand") {
  Row row = {2, -2, 0, 4};
  infer::penalise_repetition(row, std::vector<int64_t>{1, 0, 1}, 2);
  CHECK(row == Row{1, -4, 0, 4});
  infer::apply_temperature(row, 0.5);
  CHECK(row == Row{2, -8, 0, 8});
  row = {1, 3, 2, 3, 0};
  infer::keep_top_k(row, 3);
  CHECK(row == Row{kDropped, 3, 2, 3, kDropped});
  row = {3, 1, 3};
  infer::keep_top_k(row, 1);  // a tie with the last that stays
  CHECK(row == Row{3, kDropped, 3});
  const auto logs = [](std::vector<double> p) {
    Row logits;
    for (const double x : p) logits.push_back(static_cast<float>(std::log(x)));
    return logits;
  };
  row = logs({0.4, 0.05, 0.3, 0.25});
  infer::keep_top_p(row, 0.6);  // 0.4 alone is not enough
  CHECK((std::isinf(row[1]) && std::isinf(row[3])));
  CHECK((std::isfinite(row[0]) && std::isfinite(row[2])));
  infer::keep_top_p(row, 0);
  CHECK((std::isfinite(row[0]) && std::isinf(row[2])));
  row = logs({0.5, 0.2, 0.3});
  infer::keep_min_p(row, 0.5);
  CHECK((std::isfinite(row[0]) && std::isinf(row[1]) && std::isfinite(row[2])));
}

TEST_CASE("Filters are off by default, and greedy leaves but the penalty") {
  const Row row = {1, 2, 3};
  Row changed = row;
  infer::process_logits(changed, std::vector<int64_t>{2}, {});
  CHECK(changed == row);
  infer::process_logits(changed, std::vector<int64_t>{2}, {.temperature = 1});
  CHECK(changed == row);
  infer::process_logits(changed, std::vector<int64_t>{2}, {.top_k = 1, .repetition_penalty = 3});
  CHECK(changed == Row{1, 2, 1});
}

TEST_CASE("greedy_token takes the first of equals") {
  CHECK(infer::greedy_token(Row{1, 5, 5}) == 1);
  Row wide(100, -3);
  wide[70] = wide[99] = 2;
  CHECK(infer::greedy_token(wide) == 70);
}

TEST_CASE("sampled_token draws by probability and never what was dropped") {
  Random random(1);
  const Row row = {kDropped, std::log(0.2f), kDropped, std::log(0.8f), kDropped};
  std::map<int64_t, int> counts;
  for (int i = 0; i < 10000; ++i) ++counts[infer::sampled_token(row, random)];
  CHECK(counts.size() == 2);
  CHECK(counts[1] == Approx(2000).margin(200));  // five standard deviations of 40
  CHECK(counts[3] == 10000 - counts[1]);
}

TEST_CASE("Options without effect or meaning are refused") {
  const auto problems_of = [](const infer::SamplingOptions& options) {
    std::vector<Problem> problems;
    Validation validation("", [](const std::string&) { return true; }, problems);
    options.validate(validation);
    return problems;
  };
  const auto greedy = problems_of({});
  REQUIRE(greedy.size() == 4);
  CHECK(greedy[0].path == "/top_k");
  CHECK(greedy[0].message ==
        "has no effect with temperature 0, which always takes the likeliest token; remove it");
  CHECK(problems_of({.temperature = 1}).empty());
  const auto stops = problems_of(
      {.temperature = 1, .stop_strings = {"a", ""}, .stop_ids = std::vector<int64_t>{3, -1}});
  REQUIRE(stops.size() == 2);
  CHECK(stops[0].message == "must not hold an empty string");
  CHECK(stops[1].message == "must not be negative, got -1");
}

TEST_CASE("eos_ids: generation_config.json first, numbers and lists") {
  const hone::TemporaryFolder folder;
  const auto write = [&](const char* name, const char* text) {
    std::ofstream(folder.path + "/" + name) << text;
  };
  CHECK(infer::eos_ids(folder.path).empty());
  write("config.json", R"({"eos_token_id": 7})");
  CHECK(infer::eos_ids(folder.path) == std::vector<int64_t>{7});
  write("generation_config.json", R"({"top_k": 3})");
  CHECK(infer::eos_ids(folder.path) == std::vector<int64_t>{7});
  write("generation_config.json", R"({"eos_token_id": [3, 4]})");
  CHECK(infer::eos_ids(folder.path) == std::vector<int64_t>{3, 4});
  const auto refused = [&](const char* text, const char* problem) {
    write("generation_config.json", text);
    CHECK_THROWS_WITH(infer::eos_ids(folder.path),
                      Catch::Contains("generation_config.json: ") && Catch::Contains(problem));
  };
  refused(R"({"eos_token_id": "x"})", "/eos_token_id: expected integer, got \"x\"");
  refused(R"({"eos_token_id": [1, -2]})", "/eos_token_id/1: must be in [0, 2147483647], got -2");
  refused("[]", "expected object, got a list");
}

}  // namespace
}  // namespace hone::serve
