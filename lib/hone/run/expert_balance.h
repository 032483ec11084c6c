/// Keeps the experts of a model at work, and tells how they are used.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/json.h"
#include "hone/nn/moe.h"
#include "hone/run/expert_options.h"
#include "hone/run/part.h"

namespace hone::data {
struct Batch;
}

namespace hone::run {

/// Balances the experts by the recipe, those aside that a table chooses, and adds to metrics and
/// report how they are used: `load` of a layer is what its most used expert does over the mean,
/// `alive` how many are used at all, in a step; every log_every steps also the share of each
/// expert, over the mean. To controllers they are signals, and bias_rate is the knob
/// expert_bias_rate.
class ExpertBalance : public Part {
 public:
  explicit ExpertBalance(const ExpertOptions& options) : options_(options) {}

  std::string name() const override { return "experts"; }
  /// Throws: Error if the recipe asks for what the model does not have.
  void open(ReadyRun& run) override;
  void attach(train::Task& task, optim::Optimizer& optimizer) override;
  void report(const EndedRun& run, Json& report) override;
  Json save() const override;
  void load(const Json& state) override;

 private:
  /// The layers that have experts, by their numbers.
  std::vector<std::pair<int64_t, nn::MoeImpl*>> layers() const;
  void prepare(const data::Batch& batch) const;
  void take_loads();
  void move_biases() const;
  Json row() const;

  ExpertOptions options_;
  ReadyRun* run_ = nullptr;
  std::map<int64_t, nn::ExpertLoad> loads_;  // of the last step
  bool shares_due_ = false;                  // whether that step's row tells each expert's share
};

}  // namespace hone::run
