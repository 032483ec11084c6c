/// Rules written by hand: when a signal passes a bound for so long, set a knob.
///
///   {"when": "train_validation_gap > 0.3 and lr < 1e-4", "for": 3, "set": "dropout", "to": 0.2}
///   {"when": "grad_norm > 10", "for": 20, "set": "lr_scale", "multiply": 0.5, "cooldown": 100,
///    "once": false}
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/json.h"
#include "hone/train/controllers/controller.h"
#include "hone/train/controllers/controller_board.h"

namespace hone::train {

struct RuleOptions {
  std::string when;
  int64_t hold = 1;
  std::string set;
  std::optional<Json> to;
  std::optional<double> multiply;
  std::optional<double> min, max;
  bool once = true;
  int64_t cooldown = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("when", self.when,
      "Conditions, all of which must hold: <signal> <operator> <number> with >, >=, < or <=, "
      "joined by \" and \".",
      Required{});
    v("for", self.hold,
      "Times in a row that it must hold: steps, or evaluations if it names a held-out signal.",
      Range{1, 1e9});
    v("set", self.set, "The knob.", Required{});
    v("to", self.to, "Its new value; or multiply.");
    v("multiply", self.multiply, "Factor on its value.", Range{1e-9, 1e9});
    v("min", self.min, "Lowest value that multiply sets; absent: the knob's own bound.",
      Range{-1e300, 1e300});
    v("max", self.max, "Highest value that multiply sets, likewise.", Range{-1e300, 1e300});
    v("once", self.once, "Whether it acts one time only.");
    v("cooldown", self.cooldown, "Steps after an action in which it is not judged.",
      Range{0, 1e12});
  }
  /// Unknown signals and knobs, bad comparisons, and values that the knob cannot have
  /// (knob_problem).
  void validate(Validation& v) const;
};

/// "<signal> <operator> <number>".
struct Condition {
  enum class Operator { kAbove, kAtLeast, kBelow, kAtMost };
  std::string signal;
  Operator op;
  double bound;

  bool holds(double value) const;
};

/// The conditions that `when` says. What is wrong goes to `problems`, one text each.
std::vector<Condition> parse_conditions(const std::string& when,
                                        std::vector<std::string>& problems);

/// Judges rules in their order. One that names validation_loss, validation/<domain> or
/// train_validation_gap is judged at evaluations, any other at the steps at which all of its
/// signals were measured. A rule that acts begins to count anew.
class Rules : public Controller {
 public:
  /// Of rules that validate() accepts. Throws: hone::Error.
  explicit Rules(const std::vector<RuleOptions>& rules);
  std::string name() const override { return "rules"; }
  /// All knobs set but lr_scale, stop, snapshot and rollback, which controllers share.
  std::vector<std::string> owns() const override;
  void after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  void after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  Json state() const override;
  void restore(const Json& state) override;

 private:
  struct Rule {
    RuleOptions options;
    std::vector<Condition> conditions;
    bool at_evaluations = false;
    int64_t held = 0;                   ///< times in a row
    std::optional<int64_t> acted = {};  ///< last step
  };

  void judge(Rule& rule, int64_t step, const Signals& signals, KnobSetter& adjuster);
  static void act(const Rule& rule, KnobSetter& adjuster);

  std::vector<Rule> rules_;
};

/// Reports rules that set a knob which one of `others` owns, at <key>/<rule>/set.
void check_owners(const std::vector<RuleOptions>& rules, const Controllers& others,
                  const std::string& key, Validation& v);

}  // namespace hone::train
