/// A desk for the decisions of a controller in tests.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/train/controllers/controller.h"

namespace hone::train {

/// Carries decisions out on a table of knobs, as ControllerBoard does, and remembers them.
struct Desk : KnobSetter {
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

}  // namespace hone::train
