/// Teaches the indexers of a model what its attention looks at.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "hone/run/index_options.h"
#include "hone/run/part.h"
#include "hone/run/side_loss.h"

namespace hone::run {

/// Lets the indexers train, with a warm-up nothing else, and shows their loss, the mean over
/// positions and layers in nats: as the side loss "indexer", and by layer as indexer_loss in
/// metrics.
class IndexTraining : public Part {
 public:
  explicit IndexTraining(const IndexOptions& options) : options_(options) {}

  std::string name() const override { return "indexer"; }
  void open(ReadyRun& run) override;
  void attach(train::Task& task, optim::Optimizer& optimizer) override;
  void report(const EndedRun& run, Json& report) override;
  Json save() const override { return loss_.state(); }
  void load(const Json& state) override { loss_.restore(state); }

 private:
  /// The loss of the step.
  std::optional<double> take();

  const IndexOptions options_;
  SideLoss loss_{"indexer"};
  ReadyRun* run_ = nullptr;
  std::map<int64_t, double> layers_;  // of the last step
};

}  // namespace hone::run
