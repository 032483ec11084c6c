/// Undoes steps after which the loss jumps.
#pragma once
#include <cstdint>
#include <deque>
#include <string>

#include "hone/core/field.h"
#include "hone/train/controllers/controller.h"
#include "hone/train/controllers/smoothing.h"

namespace hone::train {

struct SpikeOptions {
  bool enabled = false;
  int64_t window = 50;
  double deviations = 6;
  double min_rise = 0.1;
  int64_t snapshot_every = 20;
  int64_t trust_after = 5;
  double factor = 0.5;
  int64_t recover_after = 100;
  int64_t max_rollbacks = 3;
  int64_t within = 200;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("enabled", self.enabled, "Whether it acts.");
    v("window", self.window,
      "Good steps whose losses make the band; it judges from half of them on.", Range{4, 1e6});
    v("deviations", self.deviations, "Spreads over the median from which a loss is a spike.",
      Range{1, 1e6});
    v("min_rise", self.min_rise, "Rise over the median, in nats, under which nothing is a spike.",
      Range{0, 1e6});
    v("snapshot_every", self.snapshot_every, "Good steps between snapshots.", Range{1, 1e9});
    v("trust_after", self.trust_after,
      "Good steps after a snapshot before the run goes back to it; until then to the one before.",
      Range{1, 1e9});
    v("factor", self.factor, "Factor on lr_scale at each spike.", Range{1e-6, 1});
    v("recover_after", self.recover_after,
      "Good steps after which one such factor is taken back; 0 for never.", Range{0, 1e9});
    v("max_rollbacks", self.max_rollbacks, "Spikes undone within that many steps; one more stops.",
      Range{0, 1e6});
    v("within", self.within, "See max_rollbacks.", Range{1, 1e9});
  }
  void validate(Validation& v) const;
};

/// A loss is a spike if it is not finite, or over
///   median + max(deviations * spread, min_rise)
/// of the last good losses (RobustBand). Then weights and optimiser go back to the newest snapshot
/// that `trust_after` good steps have followed, the batches drawn since are not drawn again, and
/// lr_scale falls. Two snapshots are kept, since the newest may hold the damage that the next loss
/// shows. Skipping batches and going back is what PaLM did by hand (Chowdhery et al. 2022, 5.1).
class Spike : public Controller {
 public:
  explicit Spike(const SpikeOptions& options)
      : options_(options), band_(static_cast<size_t>(options.window)) {}
  std::string name() const override { return "spike"; }
  void at_start(KnobSetter& adjuster) override;
  void after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  Json state() const override;
  void restore(const Json& state) override;

 private:
  /// Why the loss is a spike; "" if it is none.
  std::string spike(double loss) const;
  void good(double loss, KnobSetter& adjuster);
  void undo(int64_t step, const std::string& why, KnobSetter& adjuster);

  const SpikeOptions options_;
  RobustBand band_;
  int64_t trusted_ = 0;            ///< the snapshot, 0 or 1, that the run goes back to
  int64_t fresh_ = -1;             ///< good steps since the other one was taken; -1: it is older
  int64_t good_ = 0;               ///< good steps in a row
  int64_t cuts_ = 0;               ///< factors not taken back
  std::deque<int64_t> rollbacks_;  ///< steps, of the last `within`
};

}  // namespace hone::train
