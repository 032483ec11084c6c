#include "hone/train/controllers/spike.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hone/train/detail/state.h"

namespace hone::train {
namespace {

std::string snapshot(int64_t index) { return "spike-" + std::to_string(index); }

}  // namespace

void SpikeOptions::validate(Validation& v) const {
  if (trust_after > snapshot_every) {
    v.problem("trust_after", fmt::format("must be at most snapshot_every = {}, got {}",
                                         snapshot_every, trust_after));
  }
  if (factor == 1) v.no_effect("recover_after", "with factor 1");
}

void Spike::at_start(KnobSetter& adjuster) {
  adjuster.set("snapshot", snapshot(trusted_), "before the first step");
}

std::string Spike::spike(double loss) const {
  if (!std::isfinite(loss)) return "the loss is not finite";
  const auto band = band_.band();
  if (!band) return "";
  const double bar = band->median + std::max(options_.deviations * band->spread, options_.min_rise);
  if (loss <= bar) return "";
  return fmt::format("loss {:.6g} is over {:.6g}, the band of the last {} good steps", loss, bar,
                     options_.window);
}

void Spike::good(double loss, KnobSetter& adjuster) {
  band_.add(loss);
  ++good_;
  if (fresh_ >= 0 && ++fresh_ >= options_.trust_after) {
    trusted_ = 1 - trusted_;
    fresh_ = -1;
  }
  if (good_ % options_.snapshot_every == 0) {
    adjuster.set("snapshot", snapshot(1 - trusted_), fmt::format("{} good steps in a row", good_),
                 {"loss"});
    fresh_ = 0;
  }
  if (cuts_ > 0 && options_.recover_after > 0 && good_ % options_.recover_after == 0) {
    --cuts_;
    adjuster.set("lr_scale", adjuster.get("lr_scale").get<double>() / options_.factor,
                 fmt::format("{} good steps in a row after a spike", good_), {"loss"});
  }
}

void Spike::undo(int64_t step, const std::string& why, KnobSetter& adjuster) {
  while (!rollbacks_.empty() && rollbacks_.front() <= step - options_.within) {
    rollbacks_.pop_front();
  }
  adjuster.set("rollback", snapshot(trusted_), why, {"loss"});
  fresh_ = -1;
  good_ = 0;
  if (static_cast<int64_t>(rollbacks_.size()) >= options_.max_rollbacks) {
    adjuster.set("stop", true,
                 fmt::format("{}, and {} spikes were undone in the last {} steps: the run does not "
                             "recover; lower train.lr or look at the data of these steps",
                             why, rollbacks_.size(), options_.within),
                 {"loss"});
    return;
  }
  rollbacks_.push_back(step);
  if (options_.factor == 1) return;
  ++cuts_;
  adjuster.set("lr_scale", adjuster.get("lr_scale").get<double>() * options_.factor, why, {"loss"});
}

void Spike::after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) {
  const double loss = detail::needed(signals, "loss");
  const std::string why = spike(loss);
  why.empty() ? good(loss, adjuster) : undo(step, why, adjuster);
}

Json Spike::state() const {
  return {{"band", band_.state()}, {"trusted", trusted_}, {"fresh", fresh_},
          {"good", good_},         {"cuts", cuts_},       {"rollbacks", rollbacks_}};
}

void Spike::restore(const Json& state) {
  band_.restore(state.at("band"));
  trusted_ = state.at("trusted");
  fresh_ = state.at("fresh");
  good_ = state.at("good");
  cuts_ = state.at("cuts");
  rollbacks_ = state.at("rollbacks").get<std::deque<int64_t>>();
}

}  // namespace hone::train
