/// What watches a run and changes it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/train/controllers/signals.h"

namespace hone::train {

/// What a controller acts through.
class KnobSetter {
 public:
  virtual ~KnobSetter() = default;
  /// The knob's value now. Throws: hone::Error if this run has none of that name.
  virtual Json get(const std::string& knob) const = 0;
  /// Decides that the knob becomes `value`: a line of decisions.jsonl with `rule`, in words for
  /// people, and the values of the signals named. In a dry run nothing else happens. A value that
  /// the knob has already is no decision. Throws: hone::Error if the knob cannot have it.
  virtual void set(const std::string& knob, const Json& value, const std::string& rule,
                   const std::vector<std::string>& signals = {}) = 0;
};

/// Watches signals and sets knobs. All it remembers is in its state: a resumed run goes on as if it
/// had never stopped. Signals and knobs that it does not find at run time are its error.
class Controller {
 public:
  virtual ~Controller() = default;
  /// As in the configuration and in decisions.jsonl.
  virtual std::string name() const = 0;
  /// Knobs that it alone may set. lr_scale is nobody's: controllers multiply what it is.
  virtual std::vector<std::string> owns() const { return {}; }

  /// Before the phase that it adapts, resumed and repeated ones too: begins to measure what it
  /// needs. Nothing is measured for it before. Its steps are those of the phase; with `first_step`
  /// added they are the run's.
  virtual void begin(int64_t first_step) {}
  /// Before the first step of the phase; not where it is resumed.
  virtual void at_start(KnobSetter& adjuster) {}
  /// After each step of the phase, counted from 1.
  virtual void after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) {}
  /// After each evaluation of the phase. The first is the one before its first step, at 0, whoever
  /// made it; signals of training are then not measured yet.
  virtual void after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) {}
  /// After the last step and its evaluation, unless the run was interrupted or leaves no model.
  virtual void at_end(int64_t step, KnobSetter& adjuster) {}
  /// The snapshot `name` had to be taken anew, as the parameters were cut: what was measured of it
  /// is of another model.
  virtual void snapshot_lost(const std::string& name) {}

  virtual Json state() const { return Json::object(); }
  virtual void restore(const Json& state) {}
};

}  // namespace hone::train
