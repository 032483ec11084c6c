#include "hone/train/controllers/decisions.h"

#include <cmath>
#include <fstream>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/io/run_folder.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::train;

namespace {

const Json kRun = {{"config", {{"seed", 1}}}};

Decision at_step(int64_t step) {
  return {step, Moment::kStep, "plateau", "for a reason", {{"loss", 1.5}}, "lr_scale", 1.0, 0.5};
}

std::vector<int64_t> steps(const std::string& folder) {
  std::vector<int64_t> list;
  for (const Decision& decision : read_decisions(folder + "/" + io::kDecisionsFile, kRun)) {
    list.push_back(decision.step);
  }
  return list;
}

}  // namespace

TEST_CASE("A decision is read as it was written, whatever its moment") {
  const TemporaryFolder folder;
  const std::vector<Moment> moments = {Moment::kStart, Moment::kStep, Moment::kEvaluation,
                                       Moment::kEnd};
  {
    DecisionLog log(folder.path, kRun);
    for (const Moment moment : moments) {
      Decision decision = at_step(3);
      decision.moment = moment;
      decision.applied = moment == Moment::kEnd;
      decision.after = {{"law", 2}};
      log.write(decision);
    }
    CHECK(log.written() == 4);
  }
  const auto read = read_decisions(folder.path + "/" + io::kDecisionsFile, kRun);
  REQUIRE(read.size() == 4);
  for (size_t i = 0; i < moments.size(); ++i) {
    CHECK(read[i].step == 3);
    CHECK(read[i].moment == moments[i]);
    CHECK(read[i].controller == "plateau");
    CHECK(read[i].rule == "for a reason");
    CHECK(read[i].signals == std::map<std::string, double>{{"loss", 1.5}});
    CHECK(read[i].knob == "lr_scale");
    CHECK(read[i].before == 1.0);
    CHECK(read[i].after == Json{{"law", 2}});
    CHECK(read[i].applied == (moments[i] == Moment::kEnd));
  }
}

TEST_CASE("A signal that was not finite is no number of a decision read back") {
  const TemporaryFolder folder;
  DecisionLog log(folder.path, kRun);
  Decision decision = at_step(1);
  decision.signals = {{"loss", std::nan("")}, {"lr", 0.5}};
  log.write(decision);
  CHECK(read_decisions(folder.path + "/" + io::kDecisionsFile, kRun).at(0).signals ==
        std::map<std::string, double>{{"lr", 0.5}});
}

TEST_CASE("A log that is gone on with keeps its decisions, and tells the run as it is now") {
  const TemporaryFolder folder;
  {
    DecisionLog log(folder.path, {{"config", {{"seed", 9}}}});
    log.write(at_step(1));
    log.write(at_step(2));
  }
  DecisionLog log(folder.path, kRun);
  CHECK(log.written() == 2);
  log.write(at_step(3));
  CHECK(log.written() == 3);
  CHECK(steps(folder.path) == std::vector<int64_t>{1, 2, 3});
}

TEST_CASE("Decisions are dropped by their count or by their step") {
  const TemporaryFolder folder;
  DecisionLog log(folder.path, kRun);
  for (const int64_t step : {1, 2, 2, 5}) log.write(at_step(step));
  log.keep(4);  // all that there are
  log.keep(9);
  CHECK(log.written() == 4);
  log.keep(3);
  CHECK(log.written() == 3);
  CHECK(steps(folder.path) == std::vector<int64_t>{1, 2, 2});
  log.rewind(2);
  CHECK(log.written() == 3);
  log.rewind(1);
  CHECK(log.written() == 1);
  log.write(at_step(4));  // into the file that took the old one's place
  CHECK(steps(folder.path) == std::vector<int64_t>{1, 4});
  log.keep(0);
  CHECK(steps(folder.path).empty());
  CHECK(log.written() == 0);
}

TEST_CASE("What is no decision is named by its line") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/" + io::kDecisionsFile;
  {
    DecisionLog log(folder.path, kRun);
    log.write(at_step(1));
    Json row = decision_json(at_step(2));
    row["at"] = "midnight";
    std::ofstream(path, std::ios::app) << row.dump() << "\n";
  }
  CHECK_THROWS_WITH(read_decisions(path, kRun),
                    path + ":3: is no decision: at is none of start, step, evaluation, end");
  std::ofstream(path).flush();
  CHECK_THROWS_WITH(read_decisions(path, kRun),
                    path + ": is no decisions.jsonl: its first line does not tell the run");
}
