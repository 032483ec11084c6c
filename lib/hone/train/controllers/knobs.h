/// What may be changed in a run, by name.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/json.h"

namespace hone::train {

/// One thing of a run that can be changed while it runs.
struct Knob {
  std::function<Json()> get;
  /// In effect from the next step on. Throws: hone::Error for a value that it cannot have.
  std::function<void(const Json&)> set;
};

/// The knobs that a run has; the trainer and the path add theirs.
class Knobs {
 public:
  /// Replaces one of that name. `name` is one of all_knobs().
  void add(const std::string& name, Knob knob) { knobs_[name] = std::move(knob); }
  bool contains(const std::string& name) const { return knobs_.contains(name); }
  /// Throw: hone::Error naming the knob if this run has none of that name; set also if it refuses
  /// the value.
  Json get(const std::string& name) const { return find(name).get(); }
  void set(const std::string& name, const Json& value) const;

 private:
  const Knob& find(const std::string& name) const;

  std::map<std::string, Knob> knobs_;
};

/// A knob that runs may have, for docs, rule files and messages.
struct KnobInfo {
  const char* name;
  const char* help;
  /// What it may be, of numbers, which a rule may multiply; absent for what is none.
  std::optional<Range> range = {};
  bool whole = false;  ///< counts something
};
const std::vector<KnobInfo>& all_knobs();
/// Null if there is none of that name.
const KnobInfo* find_knob(std::string_view name);

/// What is wrong with `value` as far as the knob's kind says; "" for a value that it can have in a
/// run whose layers, domains or data sets `value` names.
std::string knob_problem(const KnobInfo& knob, const Json& value);

}  // namespace hone::train
