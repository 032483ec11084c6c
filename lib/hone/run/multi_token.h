/// Trains a model's layers for multi-token prediction beside it.
#pragma once
#include <optional>
#include <string>

#include "hone/run/multi_token_options.h"
#include "hone/run/part.h"
#include "hone/run/side_loss.h"

namespace hone::run {

/// Adds their loss to the steps of the main phase, and shows it: the mean over the layers of that
/// of each, per target of its own. The knob multi_token_weight is its factor.
class MultiToken : public Part {
 public:
  explicit MultiToken(const MultiTokenOptions& options) : options_(options) {}

  std::string name() const override { return "multi_token"; }
  void open(ReadyRun& run) override { run_ = &run; }
  void attach(train::Task& task, optim::Optimizer& optimizer) override;
  void report(const EndedRun& run, Json& report) override;
  Json save() const override;
  void load(const Json& state) override;

 private:
  /// The loss of the step; none where no document was long enough for any layer.
  std::optional<double> take() const;

  const MultiTokenOptions options_;
  SideLoss loss_{"multi_token"};
  ReadyRun* run_ = nullptr;
};

}  // namespace hone::run
