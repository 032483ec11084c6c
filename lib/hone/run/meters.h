/// What a path measures of a decoder in training, beside what the loop measures itself.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/json.h"
#include "hone/run/part.h"
#include "hone/train/controllers/signals.h"
#include "hone/train/controllers/smoothing.h"

namespace hone::train {
struct StepStats;
}

namespace hone::run {

struct SignalOptions {
  int64_t every = 10;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("every", self.every,
      "Steps between measurements of update_ratio, activation_rms and memory_headroom.",
      Range{1, 1e9});
  }
};

/// Measures update_ratio/<layer>, activation_rms/<layer> and memory_headroom every so many steps,
/// train/<domain> at each. <layer> is the number in tensor names, or "embeddings".
class Meters {
 public:
  Meters(const SignalOptions& options, ReadyRun& run);

  /// Begins to measure: `optimizer` steps the parameters that are watched.
  void attach(optim::Optimizer& optimizer);
  void before_step(int64_t step);
  void measure(const train::StepStats& stats, train::Signals& signals);

  Json state() const;
  void restore(const Json& state);

 private:
  bool due(int64_t step) const { return step % options_.every == 0; }
  void measure_updates(train::Signals& signals);
  void measure_domains(train::Signals& signals);

  const SignalOptions options_;
  ReadyRun& run_;
  optim::Optimizer* optimizer_ = nullptr;
  std::vector<at::Tensor> activations_;  // of the measured step's last forward pass, by layer
  const int64_t memory_;                 // of the device, in bytes
  std::vector<train::Ema> domains_;
};

}  // namespace hone::run
