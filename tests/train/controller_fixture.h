/// What the tests of controllers share: a desk for their decisions, and runs made by hand.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/train/controller.h"
#include "support/catch.h"

namespace hone::train {

/// Carries decisions out on a table of knobs, as ControllerBoard does, and remembers them.
struct Desk : Adjuster {
  struct Line {
    int64_t step;
    std::string knob;
    Json value;
    std::string rule;
    bool operator==(const Line&) const = default;
  };

  std::map<std::string, Json> knobs;
  bool dry_run = false;
  int64_t step = 0;
  std::vector<Line> lines;

  explicit Desk(std::map<std::string, Json> more = {}) : knobs(std::move(more)) {
    knobs.insert(
        {{"lr_scale", 1.0}, {"stop", false}, {"snapshot", nullptr}, {"rollback", nullptr}});
  }

  Json get(const std::string& knob) const override {
    if (!knobs.contains(knob)) throw Error("this run has no knob " + knob);
    return knobs.at(knob);
  }

  void set(const std::string& knob, const Json& value, const std::string& rule,
           const std::vector<std::string>& signals) override {
    if (get(knob) == value) return;
    lines.push_back({step, knob, value, rule});
    if (!dry_run && knob != "snapshot" && knob != "rollback") knobs[knob] = value;
  }

  /// The decisions on one knob as "step:value", the latest last.
  std::vector<std::string> on(const std::string& knob) const {
    std::vector<std::string> list;
    for (const Line& line : lines) {
      if (line.knob == knob) list.push_back(std::to_string(line.step) + ":" + line.value.dump());
    }
    return list;
  }
};

using Decided = std::vector<std::string>;

/// A moment of a run: what was measured since the last one.
struct Event {
  bool evaluation = false;
  int64_t step = 0;
  std::map<std::string, double> measured;
};

/// Steps 1, 2, ... at which one signal has these values.
inline std::vector<Event> steps_of(const std::string& signal, const std::vector<double>& values) {
  std::vector<Event> events;
  for (const double value : values) {
    events.push_back({false, static_cast<int64_t>(events.size()) + 1, {{signal, value}}});
  }
  return events;
}

/// Evaluations at steps 0, 10, 20, ...
inline std::vector<Event> evaluations_of(const std::string& signal,
                                         const std::vector<double>& values) {
  std::vector<Event> events;
  for (const double value : values) {
    events.push_back({true, 10 * static_cast<int64_t>(events.size()), {{signal, value}}});
  }
  return events;
}

using MakeController = std::function<std::unique_ptr<Controller>()>;

/// Runs a controller over the events, a fresh one that restores its state from JSON text before
/// each of them where `resume` says so.
inline Desk drive(const MakeController& make, const std::vector<Event>& events, Desk desk = Desk(),
                  bool resume = false) {
  auto controller = make();
  Signals signals;
  controller->at_start(desk);
  for (const Event& event : events) {
    if (resume) {
      const Json state = parse_json(controller->state().dump(), "state");
      controller = make();
      controller->restore(state);
      CHECK(controller->state() == state);
    }
    for (const auto& [name, value] : event.measured) signals.set(name, value);
    desk.step = event.step;
    event.evaluation ? controller->after_evaluation(event.step, signals, desk)
                     : controller->after_step(event.step, signals, desk);
    signals.age();
  }
  return desk;
}

/// Drives it whole, resumed before each event, and dry. Returns the whole run's desk.
inline Desk check_controller(const MakeController& make, const std::vector<Event>& events,
                             const Desk& desk = Desk()) {
  const Desk whole = drive(make, events, desk);
  CHECK(drive(make, events, desk, /*resume=*/true).lines == whole.lines);
  Desk dry = desk;
  dry.dry_run = true;
  dry = drive(make, events, dry);
  CHECK(dry.knobs == desk.knobs);
  CHECK(dry.lines.empty() == whole.lines.empty());
  return whole;
}

/// Makes controllers of one kind.
template <class C, class Options>
MakeController maker(const Options& options) {
  return [options] { return std::make_unique<C>(options); };
}

/// What validate() finds in options of which every key counts as given.
template <class Options>
std::vector<Problem> problems_of(const Options& options) {
  std::vector<Problem> problems;
  Validation validation(
      "", [](const std::string&) { return true; }, problems);
  options.validate(validation);
  return problems;
}

}  // namespace hone::train
