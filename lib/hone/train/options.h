/// Hyperparameters of the training loop that every path shares.
#pragma once
#include <cstdint>
#include <optional>

#include "hone/core/field.h"
#include "hone/train/schedule.h"

namespace hone::train {

struct TrainOptions {
  int64_t steps = 100;  ///< once the data are loaded also where `epochs` is given
  std::optional<double> epochs;
  int64_t accumulation = 1;
  double lr = 1e-4;
  double min_lr_ratio = 0.0;
  Decay decay = Decay::kCosine;
  double warmup_ratio = 0.1;
  RestartOptions restarts;
  OneCycleOptions one_cycle;
  WsdOptions wsd;
  double weight_decay = 0.01;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double clip_norm = 1.0;
  int64_t log_every = 10;
  int64_t eval_every = 0;
  int64_t save_every = 0;
  int64_t keep_checkpoints = 2;
  int64_t max_nonfinite = 5;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("steps", self.steps, "Optimiser steps; 0 only evaluates.", Range{0, 1e12});
    v("epochs", self.epochs,
      "Passes over the training text instead of steps; with several data sets as many tokens as "
      "they have together.",
      Range{1e-6, 10000});
    v("accumulation", self.accumulation, "Batches whose gradients one step sums.", Range{1, 1e6});
    v("lr", self.lr, "Peak learning rate.", Range{0, 10});
    v("min_lr_ratio", self.min_lr_ratio, "Last learning rate as a share of the peak.", Range{0, 1});
    v("decay", self.decay, "Course of the learning rate after the warm-up.");
    v("warmup_ratio", self.warmup_ratio, "Share of the steps in which the rate rises linearly.",
      Range{0, 1});
    v("restarts", self.restarts, "Cycles of decay cosine_restarts.");
    v("one_cycle", self.one_cycle, "The cycle of decay one_cycle.");
    v("wsd", self.wsd, "The end of decay wsd.");
    v("weight_decay", self.weight_decay, "AdamW decay of matrices; vectors have none.",
      Range{0, 1});
    v("beta1", self.beta1, "AdamW decay of the first moment.", Range{0, 0.9999999});
    v("beta2", self.beta2, "AdamW decay of the second moment.", Range{0, 0.9999999});
    v("eps", self.eps, "AdamW term added to the root of the second moment.", Range{0, 1});
    v("clip_norm", self.clip_norm, "Largest global norm of the gradient; 0 clips nothing.",
      Range{0, 1e9});
    v("log_every", self.log_every, "Steps between progress lines.", Range{1, 1e9});
    v("eval_every", self.eval_every, "Steps between evaluations; 0 for before and after only.",
      Range{0, 1e12});
    v("save_every", self.save_every, "Steps between checkpoints; 0 for none but on a signal.",
      Range{0, 1e12});
    v("keep_checkpoints", self.keep_checkpoints, "Newest checkpoints kept.", Range{2, 1e6});
    v("max_nonfinite", self.max_nonfinite,
      "Non-finite steps skipped in a row before the run stops as diverged.", Range{0, 1e6});
  }

  void validate(Validation& v) const;

  /// Whether nothing is trained.
  bool only_evaluates() const { return steps == 0 && !epochs; }
};

}  // namespace hone::train
