#include "hone/train/controllers/rules.h"

#include "controller_fixture.h"
#include "hone/config/reader.h"
#include "hone/config/schema.h"
#include "hone/config/writer.h"
#include "hone/train/controllers/regularisation.h"

using namespace hone;
using namespace hone::train;

namespace {

struct RuleList {
  std::vector<RuleOptions> rules;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rules", self.rules, "Rules.");
  }
};

std::vector<RuleOptions> read(const Json& rules) {
  return config::read_config<RuleList>({{"rules", rules}}).rules;
}

/// "path: message" of everything that is wrong.
std::string problems(const Json& rules) {
  try {
    read(rules);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

Desk run(const Json& rule, const std::vector<Event>& events, const Desk& desk) {
  const auto rules = read(Json::array({rule}));
  return check_controller([&] { return std::make_unique<Rules>(rules); }, events, desk);
}

}  // namespace

TEST_CASE("A rule acts once when its condition has held for long enough") {
  const Json rule = {{"when", "loss > 2"}, {"for", 3}, {"set", "dropout"}, {"to", 0.2}};
  const Desk desk =
      run(rule, steps_of("loss", {3, 3, 2, 3, 3, 3, 3, 3, 3}), Desk({{"dropout", 0.0}}));
  CHECK(desk.on("dropout") == Decided{"6:0.2"});
  CHECK(desk.lines[0].rule == "loss > 2 for 3 steps");
}

TEST_CASE("A rule that may act again counts anew and waits for its cooldown, within its bounds") {
  const Json rule = {{"when", "grad_norm >= 5"},
                     {"for", 2},
                     {"set", "lr_scale"},
                     {"multiply", 0.5},
                     {"min", 0.2},
                     {"once", false},
                     {"cooldown", 1}};
  const Desk desk = run(rule, steps_of("grad_norm", std::vector<double>(12, 5.0)), Desk());
  CHECK(desk.on("lr_scale") == Decided{"2:0.5", "5:0.25", "8:0.2"});
  const Json whole = {{"when", "grad_norm >= 5"},
                      {"set", "accumulation"},
                      {"multiply", 1.5},
                      {"once", false},
                      {"max", 5}};
  CHECK(run(whole, steps_of("grad_norm", {5, 5, 5, 5}), Desk({{"accumulation", 2}}))
            .on("accumulation") == Decided{"1:3", "2:5"});
}

TEST_CASE("All conditions must hold, at evaluations if one is held out") {
  const Json rule = {{"when", "train_validation_gap > 0.3 and loss_mean <= 2"},
                     {"for", 2},
                     {"set", "stop"},
                     {"to", true}};
  std::vector<Event> events;
  for (int64_t step = 0; step <= 60; step += 10) {
    if (step > 0) events.push_back({false, step, {{"loss_mean", 3 - 0.05 * step}}});
    events.push_back({true, step, {{"validation_loss", 3}}});
    if (step > 0) events.back().measured["train_validation_gap"] = 0.05 * step;
  }
  CHECK(run(rule, events, Desk()).on("stop") == Decided{"30:true"});
}

TEST_CASE("A step at which a signal was not measured does not count") {
  const Json rule = {{"when", "noise_scale < 9"}, {"for", 2}, {"set", "clip_norm"}, {"to", 0.1}};
  auto events = steps_of("loss", {1, 1, 1, 1, 1, 1});
  for (const int step : {2, 4}) events[step].measured["noise_scale"] = 5;
  CHECK(run(rule, events, Desk({{"clip_norm", 1.0}})).on("clip_norm") == Decided{"5:0.1"});
}

TEST_CASE("A held-out domain that there is none of is an error at the first evaluation") {
  const auto rules = read({{{"when", "validation/lwa > 9"}, {"set", "stop"}, {"to", true}}});
  CHECK_THROWS_WITH(
      drive([&] { return std::make_unique<Rules>(rules); }, evaluations_of("validation/law", {8})),
      Catch::Contains("does not measure the signal validation/lwa"));
}

TEST_CASE("Everything that is wrong with rules is said at once, with its place") {
  const std::string text = problems({
      {{"when", "los > 2 and grad_norm = 3"}, {"set", "dropuot"}, {"to", 1}},
      {{"when", "loss > many"}, {"set", "dropout"}},
      {{"when", "loss > 1"}, {"set", "stop"}, {"multiply", 2}},
      {{"when", "loss > 1"}, {"set", "dropout"}, {"to", "high"}, {"cooldown", 5}},
      {{"when", "loss > 1"}, {"set", "lr_scale"}, {"to", 1}, {"min", 0}},
      {{"when", "loss > 1"}, {"set", "stop"}, {"to", false}},
      {{"when", "loss > 1"}, {"set", "rollback"}, {"to", 3}, {"for", 0}},
  });
  for (const char* expected :
       {"/rules/0/when: unknown signal \"los\"; did you mean loss?",
        "/rules/0/when: \"grad_norm = 3\" must be <signal> <operator> <number>",
        "/rules/0/set: unknown knob \"dropuot\"; did you mean dropout?",
        "/rules/1/when: \"> many\" must end in one number",
        "/rules/1/to: is missing, and so is multiply",
        "/rules/2/multiply: stop is no number; give to",
        "/rules/3/to: dropout must be a number, got \"high\"",
        "/rules/3/cooldown: has no effect with once",
        "/rules/4/to: lr_scale is multiplied by other controllers too: give multiply instead",
        "/rules/4/min: has no effect without multiply", "/rules/5/to: stop must be true, got false",
        "/rules/6/to: rollback must be a name, got 3", "/rules/6/for: must be in [1, "}) {
    CHECK_THAT(text, Catch::Contains(expected));
  }
}

TEST_CASE("Values that a knob cannot have are refused when rules are read") {
  const auto rule = [](const char* knob, const Json& to) {
    return Json{{"when", "loss > 1"}, {"set", knob}, {"to", to}};
  };
  const std::string text = problems({
      rule("dropout", 1.5),
      rule("accumulation", 2.5),
      rule("weight_decay", -1),
      rule("frozen_layers", {0, 0}),
      rule("frozen_layers", {-1}),
      rule("domain_weights", {{"law", -2}}),
      rule("mix_weights", 3),
      rule("heads", {{"0", {1, 2}}}),
      rule("layers", {{"first", {1}}}),
      rule("cut", "all"),
      {{"when", "loss > 1"}, {"set", "dropout"}, {"multiply", 2}, {"max", 1}},
  });
  for (const char* expected :
       {"/rules/0/to: dropout must be in [0, 0.999], got 1.5",
        "/rules/1/to: accumulation must be a whole number, got 2.5",
        "/rules/2/to: weight_decay must be in [0, 1], got -1",
        "/rules/3/to: frozen_layers must be a list of different layers by their numbers, got [0,0]",
        "/rules/4/to: frozen_layers must be a list of different layers",
        "/rules/5/to: domain_weights must be an object of numbers that are not negative, by name",
        "/rules/6/to: mix_weights must be an object of numbers",
        "/rules/7/to: heads must be an object of lists of 0 and 1 by a layer's number",
        "/rules/8/to: layers must be an object of lists",
        "/rules/9/to: cut must be heads, channels",
        "/rules/10/max: dropout must be in [0, 0.999], got 1"}) {
    CHECK_THAT(text, Catch::Contains(expected));
  }
  CHECK(problems({rule("dropout", 0.5), rule("accumulation", 4), rule("frozen_layers", {2, 0}),
                  rule("heads", {{"0", {1, 0}}}), rule("domain_weights", {{"law", 0}}),
                  rule("cut", "heads"), rule("stop", true)}) == "");
}

TEST_CASE("What a rule multiplies stays within what the knob can be") {
  const Json rule = {{"when", "loss > 0"}, {"set", "dropout"}, {"multiply", 3}, {"once", false}};
  CHECK(run(rule, steps_of("loss", {1, 1, 1}), Desk({{"dropout", 0.3}})).on("dropout") ==
        Decided{"1:0.8999999999999999", "2:0.999"});
}

TEST_CASE("A rule on a knob that an enabled controller owns is refused") {
  Controllers others;
  others.push_back(std::make_unique<Regularisation>(RegularisationOptions{}));
  const auto rules = read({{{"when", "loss > 2"}, {"set", "clip_norm"}, {"to", 1}},
                           {{"when", "loss > 2"}, {"set", "dropout"}, {"to", 0.2}}});
  std::vector<Problem> found;
  Validation validation("/controllers", [](const std::string&) { return true; }, found);
  check_owners(rules, others, "rules", validation);
  REQUIRE(found.size() == 1);
  CHECK(found[0].path == "/controllers/rules/1/set");
  CHECK_THAT(found[0].message, Catch::Contains("controller regularisation"));
  CHECK(Rules(rules).owns() == std::vector<std::string>{"clip_norm", "dropout"});
}

TEST_CASE("Rules survive being printed, and the state of other rules is refused") {
  const auto rules = read({{{"when", "loss > 2"}, {"set", "dropout"}, {"to", 0.2}}});
  const Json printed = config::to_json(RuleList{rules});
  CHECK(config::to_json(config::read_config<RuleList>(printed)) == printed);
  CHECK(config::schema<RuleList>("t", "d").dump().find("\"for\"") != std::string::npos);
  CHECK_THROWS_WITH(Rules(rules).restore({{"rules", Json::array()}}),
                    Catch::Contains("the state of 0 rules, the recipe has 1"));
}
