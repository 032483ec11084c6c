/// What the tests of controllers share: runs made by hand.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "controller_desk.h"
#include "hone/core/error.h"
#include "hone/train/controllers/controller.h"
#include "support/catch.h"

namespace hone::train {

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
  CHECK((drive(make, events, desk, /*resume=*/true).lines == whole.lines));
  Desk dry = desk;
  dry.dry_run = true;
  dry = drive(make, events, dry);
  CHECK((dry.knobs == desk.knobs));
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
  Validation validation("", [](const std::string&) { return true; }, problems);
  options.validate(validation);
  return problems;
}

}  // namespace hone::train
