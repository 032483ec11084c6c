#include "hone/train/controllers/controller_board.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include "hone/core/error.h"
#include "hone/io/run_folder.h"
#include "hone/train/controllers/decisions.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::train;

namespace {

/// Adds 1 to a knob at each step, and counts its calls.
class Adder : public Controller {
 public:
  Adder(std::string name, std::string knob, std::vector<std::string> owned = {})
      : name_(std::move(name)), knob_(std::move(knob)), owned_(std::move(owned)) {}
  std::string name() const override { return name_; }
  std::vector<std::string> owns() const override { return owned_; }
  void after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) override {
    ++calls_;
    adjuster.set(knob_, adjuster.get(knob_).get<double>() + 1, "one more", {"loss", "unmeasured"});
  }
  Json state() const override { return {{"calls", calls_}}; }
  void restore(const Json& state) override { calls_ = state.at("calls"); }
  int64_t calls() const { return calls_; }

 private:
  std::string name_, knob_;
  std::vector<std::string> owned_;
  int64_t calls_ = 0;
};

Controllers list(std::vector<Controller*> controllers) {
  Controllers list;
  for (Controller* controller : controllers) list.emplace_back(controller);
  return list;
}

void add_number(Knobs& knobs, const std::string& name, double& value) {
  knobs.add(name, {[&value] { return value; },
                   [&value](const Json& v) {
                     if (v.get<double>() > 100) throw Error("over 100");
                     value = v.get<double>();
                   }});
}

const Json kRun = {{"config", {{"seed", 1}, {"train", {{"lr", 0.1}}}}}};

}  // namespace

TEST_CASE("Controllers act in their order, and every decision is a line") {
  const TemporaryFolder folder;
  double x = 1;
  {
    DecisionLog log(folder.path, kRun);
    ControllerBoard board(list({new Adder("first", "lr_scale"), new Adder("second", "lr_scale")}),
                          &log);
    add_number(board.knobs(), "lr_scale", x);
    board.signals().set("loss", 2.5);
    board.run(Moment::kStep, 7);
  }
  CHECK(x == 3);
  const auto decisions = read_decisions(folder.path + "/" + io::kDecisionsFile, kRun);
  REQUIRE(decisions.size() == 2);
  CHECK(decisions[0].controller == "first");
  CHECK(decisions[1].controller == "second");
  CHECK(decisions[1].step == 7);
  CHECK(decisions[1].before == 2.0);
  CHECK(decisions[1].after == 3.0);
  CHECK(decisions[1].rule == "one more");
  CHECK(decisions[1].applied);
  CHECK(decisions[1].signals == std::map<std::string, double>{{"loss", 2.5}});
}

TEST_CASE("A dry run writes decisions and changes nothing") {
  const TemporaryFolder folder;
  double x = 1;
  DecisionLog log(folder.path, kRun);
  ControllerBoard board(list({new Adder("adder", "lr_scale")}), &log, {.dry_run = true});
  add_number(board.knobs(), "lr_scale", x);
  board.run(Moment::kStep, 1);
  board.run(Moment::kStep, 2);
  CHECK(x == 1);
  const auto decisions = read_decisions(folder.path + "/" + io::kDecisionsFile, kRun);
  REQUIRE(decisions.size() == 2);
  CHECK(!decisions[1].applied);
  CHECK(decisions[1].before == 1.0);
}

TEST_CASE("A replay repeats what was applied, each decision at its moment") {
  std::vector<Decision> record;
  const auto decide = [&](int64_t step, Moment moment, double before, double after, bool applied) {
    record.push_back({step, moment, "adder", "rule", {}, "lr_scale", before, after, applied});
  };
  decide(0, Moment::kStart, 1, 2, true);
  decide(3, Moment::kStep, 2, 5, true);
  decide(3, Moment::kEvaluation, 5, 6, true);
  decide(4, Moment::kStep, 6, 9, false);
  double x = 1;
  auto* adder = new Adder("adder", "lr_scale");
  ControllerBoard board(list({adder}), nullptr, {.replay = record});
  add_number(board.knobs(), "lr_scale", x);
  board.run(Moment::kStart, 0);
  CHECK(x == 2);
  board.run(Moment::kStep, 2);
  CHECK(x == 2);
  board.run(Moment::kStep, 3);
  CHECK(x == 5);
  board.run(Moment::kEvaluation, 3);
  CHECK(x == 6);
  board.run(Moment::kStep, 4);
  CHECK(x == 6);
  CHECK(adder->calls() == 0);

  SECTION("and goes on where a checkpoint left it") {
    ControllerBoard again(list({new Adder("adder", "lr_scale")}), nullptr, {.replay = record});
    double y = 1;
    add_number(again.knobs(), "lr_scale", y);
    again.run(Moment::kStart, 0);
    const Json state = Json::parse(again.state().dump());
    ControllerBoard resumed(list({new Adder("adder", "lr_scale")}), nullptr, {.replay = record});
    add_number(resumed.knobs(), "lr_scale", y);
    resumed.restore(state);
    resumed.run(Moment::kStep, 3);
    CHECK(y == 5);
  }
  SECTION("and says where the run is another") {
    ControllerBoard other(list({}), nullptr, {.replay = record});
    double y = 1.5;
    add_number(other.knobs(), "lr_scale", y);
    CHECK_THROWS_WITH(other.run(Moment::kStart, 0),
                      "replay at step 0: lr_scale was 1.0 in the recorded run and is 1.5");
  }
}

TEST_CASE("A file of decisions is checked before it is replayed") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/" + io::kDecisionsFile;
  {
    DecisionLog log(folder.path, kRun);
  }
  CHECK(read_decisions(path, kRun).empty());

  Json other = kRun;
  other["config"]["train"]["lr"] = 0.2;
  other["config"]["seed"] = 2;
  try {
    read_decisions(path, other);
    FAIL("another run's decisions were taken");
  } catch (const ConfigError& error) {
    const std::string what = error.what();
    CHECK(what.find("/config/train/lr") != std::string::npos);
    CHECK(what.find("/config/seed") != std::string::npos);
  }

  std::ofstream(path, std::ios::app) << "{\"step\": 1}\n{\"step\": 2}\n";
  CHECK_THROWS_WITH(read_decisions(path, kRun), Catch::Contains(":2: is no decision: "));
  std::ofstream(path) << "{\"step\": 1, \"loss\": 2}\n";
  CHECK_THROWS_WITH(read_decisions(path, kRun), Catch::Contains("is no decisions.jsonl"));
}

TEST_CASE("Bad knobs and owners are errors that name them") {
  double x = 99.5;
  ControllerBoard board(list({new Adder("adder", "lr_scale")}), nullptr);
  CHECK_THROWS_WITH(board.run(Moment::kStep, 1),
                    "controller adder at step 1: this run has no knob lr_scale");
  add_number(board.knobs(), "lr_scale", x);
  CHECK_THROWS_WITH(board.run(Moment::kStep, 2), "controller adder at step 2: over 100");
  CHECK_THROWS_WITH(board.knobs().set("lr_scale", "high"),
                    "the knob lr_scale cannot be \"high\", it is now 99.5");
  CHECK_THROWS_WITH(ControllerBoard(list({new Adder("a", "dropout", {"dropout"}),
                                          new Adder("b", "dropout", {"dropout"})}),
                                    nullptr),
                    "the controllers a and b both set dropout; turn one of them off");
}

TEST_CASE("Signals are found by family, and every knob has its line") {
  CHECK(is_signal("loss"));
  CHECK(is_signal("validation/medicine"));
  CHECK(!is_signal("validation/"));
  CHECK(!is_signal("validation"));
  CHECK(!is_signal("los"));
  CHECK(find_knob("dropout"));
  CHECK(!find_knob("dropuot"));
  Signals signals;
  signals.set("loss", 1);
  CHECK(signals.fresh().contains("loss"));
  signals.age();
  CHECK(signals.fresh().empty());
  CHECK(*signals.find("loss") == 1);
  CHECK(!signals.find("lr"));
}
