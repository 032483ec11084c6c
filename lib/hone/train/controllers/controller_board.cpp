#include "hone/train/controllers/controller_board.h"

#include <map>
#include <utility>

#include "hone/core/error.h"

namespace hone::train {

/// What sets knobs for one controller at one moment, and logs it.
class ControllerBoard::LoggingSetter : public KnobSetter {
 public:
  LoggingSetter(ControllerBoard& board, std::string controller, Moment moment, int64_t step)
      : board_(board), controller_(std::move(controller)), moment_(moment), step_(step) {}

  Json get(const std::string& knob) const override { return board_.knobs_.get(knob); }

  void set(const std::string& knob, const Json& value, const std::string& rule,
           const std::vector<std::string>& signals) override {
    Decision decision{
        step_, moment_, controller_, rule, {}, knob, get(knob), value, !board_.options_.dry_run};
    if (decision.before == value) return;
    for (const std::string& name : signals) {
      if (const auto measured = board_.signals_.find(name)) decision.signals[name] = *measured;
    }
    board_.apply(std::move(decision));
  }

 private:
  ControllerBoard& board_;
  const std::string controller_;
  const Moment moment_;
  const int64_t step_;
};

ControllerBoard::ControllerBoard(Controllers controllers, DecisionLog* log, BoardOptions options)
    : controllers_(std::move(controllers)), log_(log), options_(std::move(options)) {
  std::map<std::string, std::string> owners;
  for (const auto& controller : controllers_) {
    for (const std::string& knob : controller->owns()) {
      const auto [owner, first] = owners.emplace(knob, controller->name());
      if (first) continue;
      throw Error("the controllers " + owner->second + " and " + controller->name() + " both set " +
                  knob + "; turn one of them off");
    }
  }
}

void ControllerBoard::apply(Decision decision) {
  if (decision.applied) knobs_.set(decision.knob, decision.after);
  if (log_) log_->write(decision);
  if (decided) decided(decision);
}

void ControllerBoard::begin(int64_t first_step) {
  first_step_ = first_step;
  for (const auto& controller : controllers_) controller->begin(first_step);
}

void ControllerBoard::run(Moment moment, int64_t step) {
  if (options_.replay) return replay(moment, step);
  for (const auto& controller : controllers_) {
    LoggingSetter setter(*this, controller->name(), moment, step);
    try {
      switch (moment) {
        case Moment::kStart:
          controller->at_start(setter);
          break;
        case Moment::kStep:
          controller->after_step(step - first_step_, signals_, setter);
          break;
        case Moment::kEvaluation:
          controller->after_evaluation(step - first_step_, signals_, setter);
          break;
        case Moment::kEnd:
          controller->at_end(step - first_step_, setter);
          break;
      }
    } catch (const IoError&) {
      throw;  // names its file
    } catch (const Error& error) {
      throw Error("controller " + controller->name() + " at step " + std::to_string(step) + ": " +
                  error.what());
    }
  }
}

void ControllerBoard::replay(Moment moment, int64_t step) {
  const std::vector<Decision>& decisions = *options_.replay;
  const auto due = [&](const Decision& decision) {
    return decision.step < step || (decision.step == step && decision.moment <= moment);
  };
  for (; replayed_ < decisions.size() && due(decisions[replayed_]); ++replayed_) {
    Decision decision = decisions[replayed_];
    if (!decision.applied) continue;
    const Json now = knobs_.get(decision.knob);
    if (now != decision.before) {
      throw Error("replay at step " + std::to_string(step) + ": " + decision.knob + " was " +
                  decision.before.dump() + " in the recorded run and is " + now.dump());
    }
    decision.applied = !options_.dry_run;
    apply(std::move(decision));
  }
}

Json ControllerBoard::state() const {
  Json states = Json::object();
  for (const auto& controller : controllers_) states[controller->name()] = controller->state();
  Json state = {{"controllers", states}, {"replayed", replayed_}};
  if (log_) state["written"] = log_->written();
  return state;
}

void ControllerBoard::restore(const Json& state) {
  for (const auto& controller : controllers_) {
    controller->restore(state.at("controllers").at(controller->name()));
  }
  replayed_ = state.at("replayed");
  if (log_ && state.contains("written")) log_->keep(state.at("written"));
}

void ControllerBoard::snapshot_lost(const std::string& name) {
  for (const auto& controller : controllers_) controller->snapshot_lost(name);
}

void ControllerBoard::rewind(int64_t step) {
  if (log_) log_->rewind(step);
}

}  // namespace hone::train
