#include "hone/tune/report/export.h"

#include "hone/core/utf8.h"
#include "hone/tune/pareto.h"
#include "hone/tune/report/live_table.h"
#include "probe.h"
#include "sample_study.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;
using Catch::Contains;

namespace {

/// The fields of RFC 4180 text.
std::vector<std::vector<std::string>> read_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows{{""}};
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    std::string& field = rows.back().back();
    if (quoted && text[i] == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      field += text[i++];
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (quoted) {
      field += text[i];
    } else if (text[i] == ',') {
      rows.back().emplace_back();
    } else if (text.compare(i, 2, "\r\n") == 0) {
      rows.push_back({""});
      ++i;
    } else {
      field += text[i];
    }
  }
  rows.pop_back();
  return rows;
}

std::map<std::string, std::string> row_of(const std::vector<std::vector<std::string>>& rows,
                                          size_t row) {
  std::map<std::string, std::string> named;
  REQUIRE(rows.at(row).size() == rows[0].size());
  for (size_t i = 0; i < rows[0].size(); ++i) named[rows[0][i]] = rows[row][i];
  return named;
}

}  // namespace

TEST_CASE("CSV has the columns of Optuna's data frame and every trial in a row") {
  const StudyView study = sample::study(12);
  const auto rows = read_csv(trials_csv(study));
  CHECK(rows[0] == std::vector<std::string>{"number", "value", "datetime_start",
                                            "datetime_complete", "duration", "params_/lora/rank",
                                            "params_/train/lr", "params_extra", "params_kind <b>",
                                            "user_attrs_hone:refused", "user_attrs_hone:worker",
                                            "system_attrs_completed_rung_0", "state"});
  REQUIRE(rows.size() == 14);
  const auto first = row_of(rows, 2);
  const Trial& trial = *study.trials[1];
  CHECK(std::stod(first.at("value")) == trial.values[0]);
  CHECK(std::stod(first.at("params_/train/lr")) == trial.params[0].value);
  CHECK(first.at("params_/lora/rank") == "8");
  CHECK(first.at("params_kind <b>") == "a,\"b\"\r\n</script>");
  CHECK(first.at("datetime_start") == "2025-11-25 00:00:30.000000");
  CHECK(first.at("duration") == "0 days 00:00:45.500000");
  CHECK(first.at("state") == "COMPLETE");
  CHECK(row_of(rows, 5).at("user_attrs_hone:refused") == "needs 12.3 GiB of <8 GiB>");
  CHECK(row_of(rows, 13).at("state") == "WAITING");
  CHECK(row_of(rows, 13).at("datetime_start").empty());
  CHECK(read_csv(trials_csv(sample::two_objectives(2)))[0][2] == "values_1");
}

TEST_CASE("JSON lines hold whole trials") {
  StudyView study = sample::study(12);
  auto odd = std::make_shared<Trial>(*study.trials[0]);
  odd->values = {-INFINITY};
  odd->intermediate[7] = NAN;
  study.trials[0] = odd;
  std::istringstream lines(trials_jsonl(study));
  size_t i = 0;
  for (std::string line; std::getline(lines, line); ++i) {
    const Json json = parse_json(line, "line");
    const Trial& trial = *study.trials.at(i);
    CHECK(json.at("number") == trial.number);
    CHECK(enum_from_name<TrialState>(json.at("state").get<std::string>()) == trial.state);
    CHECK(probe::numbers(json.at("values")) == trial.values);
    REQUIRE(json.at("params").size() == trial.params.size());
    for (const Param& param : trial.params) {
      const Distribution read = parse_distribution(json.at("distributions").at(param.name).dump());
      CHECK(read == param.distribution);
      CHECK(internal_value(read, json.at("params").at(param.name)) == param.value);
    }
    REQUIRE(json.at("intermediate_values").size() == trial.intermediate.size());
    for (const auto& [step, value] : trial.intermediate) {
      const double read = probe::number(json.at("intermediate_values").at(std::to_string(step)));
      CHECK((read == value || (std::isnan(read) && std::isnan(value))));
    }
    CHECK(probe::attributes(json.at("user_attrs")) == trial.user_attrs);
    CHECK(probe::attributes(json.at("system_attrs")) == trial.system_attrs);
    CHECK(json.at("datetime_start").is_null() == !trial.start.has_value());
  }
  CHECK(i == study.trials.size());
}

TEST_CASE("Names are cut for people") {
  CHECK(shortened_to_columns("äöü", 3) == "äöü");
  CHECK(shortened_to_columns("äöüß", 3) == "äö…");
}

TEST_CASE("The best trial keeps all its parameters, on lines of the terminal's width") {
  const StudyView study = sample::study(20);
  const TrialPtr best = best_trial(study);
  REQUIRE(best->params.size() > 1);
  const std::string table = live_table(study, sample::kStart, {.width = 40});
  INFO(table);
  for (const Param& param : best->params) CHECK_THAT(table, Contains("  " + param.name + "="));
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) CHECK(count_characters(line) <= 40);
}

TEST_CASE("The live table tells what is done, best, running and left") {
  const StudyView study = sample::study(12);
  const Time now = *study.trials[11]->start + 15 * sample::kSecond;
  const std::string table =
      live_table(study, now, {.width = 90, .trials = 20, .workers = 2, .objectives = {"loss"}});
  INFO(table);
  // Ended: 0, 1, 6, 7 complete; 2, 8 pruned; mean 45.5 s. 12 to begin; of the running ones, 5 is
  // over its time and 11 has 30.5 s to go: (12 * 45.5 + 30.5) / 2 = 288.25 s.
  CHECK_THAT(table, Contains(": 6 of 20 trials ended, about 4 min 48 s left"));
  CHECK_THAT(table, Contains("4 complete, 2 pruned, 2 failed, 2 refused, 2 running, 1 waiting"));
  CHECK_THAT(table, Contains("best     trial 7  loss 0.16"));
  CHECK_THAT(table, Contains("running  trial 11  step 50"));
  CHECK_THAT(table, Contains("for 15.0 s  /train/lr="));
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) CHECK(count_characters(line) <= 90);
}

TEST_CASE("The live table of nothing, of many and of hostile names") {
  CHECK_THAT(live_table({"s\x1b[2J\xc2\x9b", {Direction::kMinimize}, {}}, 0),
             Contains("s?[2J?: 0 trials ended\n") && Contains("best     none yet"));
  const StudyView study = sample::study(120);
  CHECK_THAT(live_table(study, sample::kStart, {.max_running = 3}), Contains("and 17 more"));
  CHECK_THAT(live_table(sample::two_objectives(), sample::kStart), Contains("best     front of "));
}
