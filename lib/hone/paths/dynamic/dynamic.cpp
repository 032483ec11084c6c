#include "hone/paths/dynamic/dynamic.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/model/decoder.h"
#include "hone/run/compute.h"
#include "hone/run/config_json.h"
#include "hone/run/knobs.h"
#include "hone/run/manifest.h"
#include "hone/run/meters.h"
#include "hone/run/plan.h"
#include "hone/run/pruned_decoder.h"
#include "hone/serve/live_view.h"
#include "hone/train/controllers/controller_board.h"
#include "hone/train/controllers/decisions.h"
#include "hone/view/knob_text.h"

namespace hone::paths {
namespace {

/// What must agree for the decisions of a run to repeat it: all that makes its weights but the
/// controllers. A run that became longer on the way is repeated by none.
Json identity(const DynamicConfig& config, const Json& manifest) {
  Json run = config::to_json(config.run);
  run.erase("about");
  // What `auto` became; float32 goes unsaid, as it did before there was a choice.
  run[run::kComputeKey] = manifest.at(run::kComputeKey);
  if (run[run::kComputeKey] == Json(enum_name(run::Compute::kFloat32))) {
    run.erase(run::kComputeKey);
  }
  if (run["experts"] == config::to_json(run::ExpertOptions())) run.erase("experts");  // likewise
  run["neftune_alpha"] = config.neftune_alpha;
  Json identity = {{"config", std::move(run)},
                   {"weights", manifest.at("base_weights")},
                   {"data", manifest.at("data")}};
  if (manifest.contains(run::kLengthened))
    identity[run::kLengthened] = manifest.at(run::kLengthened);
  return identity;
}

/// "step 120: plateau sets lr_scale from 1 to 0.5: ...".
std::string describe(const train::Decision& decision) {
  constexpr size_t kMost = 60;
  const std::string after =
      view::changed_knob_text(decision.knob, decision.before, decision.after, kMost);
  const std::string change =
      decision.before.is_null()
          ? fmt::format("{} {}", decision.knob, after)
          : fmt::format("{} from {} to {}", decision.knob,
                        view::knob_text(decision.knob, decision.before, kMost), after);
  return fmt::format("step {}: {} {} {}: {}", decision.step, decision.controller,
                     decision.applied ? "sets" : "would set", change, decision.rule);
}

/// The controllers at work in a run.
class Controllers : public run::Part {
 public:
  Controllers(const DynamicConfig& config, const DynamicMode& mode)
      : config_(config), mode_(mode) {}

  std::string name() const override { return "extension"; }  // as older checkpoints call it
  void opened(const io::RunFolder& folder) override { mode_ = settle_mode(folder, mode_); }
  Json recipe() const override { return config::to_json(config_); }
  Json reread(const Json& recipe) const override {
    return config::to_json(config::read_config<DynamicConfig>(recipe));
  }
  run::PlanChanges changes() const override;
  void open(run::ReadyRun& run) override;
  void attach(train::Task& task, optim::Optimizer& optimizer) override;
  Json save() const override;
  void load(const Json& state) override;
  void close() override;
  void report(const run::EndedRun& run, Json& report) override;

 private:
  void count(const train::Decision& decision);

  const DynamicConfig& config_;
  DynamicMode mode_;
  run::ReadyRun* run_ = nullptr;
  std::optional<train::DecisionLog> log_;
  std::unique_ptr<train::ControllerBoard> board_;
  std::unique_ptr<run::Meters> meters_;
  std::unique_ptr<run::ModelKnobs> knobs_;
  std::unique_ptr<run::PrunedDecoder> pruned_;
  Json heads_ = Json::object();      // what the step's row tells of them
  Json decisions_ = Json::object();  // made, by controller, bookkeeping left out
};

void Controllers::open(run::ReadyRun& run) {
  run_ = &run;
  if (config_.run.train.epochs) {  // what depends on the steps can only be judged now
    DynamicConfig resolved = config_;
    resolved.run.train.steps = run.config.train.steps;
    resolved.run.train.epochs.reset();
    config::validate(resolved);
  }
  const Json whose = identity(config_, run.manifest);
  train::BoardOptions options{.dry_run = mode_.dry_run};
  if (mode_.replay) options.replay = train::read_decisions(*mode_.replay, whose);
  log_.emplace(run.folder.path(), whose);
  board_ = std::make_unique<train::ControllerBoard>(make_controllers(config_, &run.decoder), &*log_,
                                                    std::move(options));
  board_->decided = [this](const train::Decision& decision) { count(decision); };
  meters_ = std::make_unique<run::Meters>(config_.signals, run);
  run.decoder->embed_tokens->set_noise(config_.neftune_alpha);
}

void Controllers::attach(train::Task& task, optim::Optimizer& optimizer) {
  knobs_ = std::make_unique<run::ModelKnobs>(*run_, optimizer, board_->knobs());
  pruned_ = std::make_unique<run::PrunedDecoder>(run_->decoder, optimizer, board_->knobs());
  meters_->attach(optimizer);
  task.board = board_.get();
  task.before_step = [this](int64_t step) { meters_->before_step(step); };
  task.measure = [this](const train::StepStats& stats, train::Signals& signals) {
    meters_->measure(stats, signals);
    heads_ = pruned_->measure(signals, stats.step % config_.signals.every == 0);
  };
  task.extra_metrics = [this, others = task.extra_metrics] {
    Json row = others ? others() : Json::object();
    row.update(heads_);
    return row;
  };
}

void Controllers::close() {
  if (pruned_->cut_all()) log_info("what was switched off is cut");
  knobs_.reset();
  pruned_.reset();
}

void Controllers::count(const train::Decision& decision) {
  if (view::is_bookkeeping(decision.knob)) return;
  log_info(describe(decision));
  Json& made = decisions_[decision.controller];
  made = made.is_null() ? 1 : made.get<int64_t>() + 1;
}

Json Controllers::save() const {
  if (!knobs_) return nullptr;  // the embeddings' phase is not adapted
  return {{"pruned", pruned_->state()},
          {"knobs", knobs_->state()},
          {"meters", meters_->state()},
          {"decisions", decisions_}};
}

void Controllers::load(const Json& state) {
  if (state.is_null()) return;
  pruned_->restore(state.at("pruned"));
  knobs_->restore(state.at("knobs"));
  meters_->restore(state.at("meters"));
  decisions_ = state.at("decisions");
}

void Controllers::report(const run::EndedRun&, Json& report) {
  report["path"] = "dynamic";
  if (mode_.dry_run) report["dry_run"] = true;
  if (mode_.replay) report["replayed"] = *mode_.replay;
  report["decisions"] = decisions_;
}

/// Snapshots that the controllers keep at once.
int64_t snapshots_of(const ControllersOptions& c) {
  std::set<std::string> named;
  for (const train::RuleOptions& rule : c.rules) {
    if (rule.set == "snapshot" && rule.to) named.insert(rule.to->get<std::string>());
  }
  return std::ssize(named) + (c.spike.enabled ? 2 : 0) +
         (c.early_stopping.enabled && c.early_stopping.restore_best ? 1 : 0);
}

/// What the controllers may turn on that takes memory.
run::PlanChanges Controllers::changes() const {
  const ControllersOptions& c = config_.controllers;
  const auto ruled = [&](const char* knob) {
    return std::any_of(c.rules.begin(), c.rules.end(),
                       [&](const train::RuleOptions& rule) { return rule.set == knob; });
  };
  const bool moved = c.regularisation.enabled && c.regularisation.dropout_step > 0;
  const bool drops = ruled("dropout") || moved;
  const bool lora = config_.run.tuning == run::Tuning::kLora;
  return {.branch_dropout = drops && !lora,
          .lora_dropout = drops && lora,
          .accumulates = ruled("accumulation"),
          .keeps_all = ruled("checkpoint_every"),
          .snapshots = snapshots_of(c)};
}

}  // namespace

run::Report run_dynamic(const DynamicConfig& config, const run::Context& context,
                        const DynamicMode& mode) {
  std::optional<serve::LiveView> live;
  if (mode.serve) {
    live.emplace(context.out, static_cast<int>(*mode.serve));
    log_info("live page: " + live->url());
  }
  Controllers controllers(config, mode);
  return run::execute(config.run, context, {&controllers});
}

run::Plan plan_dynamic(const DynamicConfig& config, const std::string& out) {
  run::Plan plan = run::make_plan(config.run, nullptr, out, Controllers(config, {}).changes());
  plan.text += "controllers, in this order:";
  for (const auto& controller : make_controllers(config)) plan.text += " " + controller->name();
  plan.text += "\n";
  return plan;
}

}  // namespace hone::paths
