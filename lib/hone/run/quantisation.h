/// Linear layers that a run rounds to integers, trained so or not.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/model/decoder.h"
#include "hone/model/quantised_layers.h"
#include "hone/run/part.h"
#include "hone/run/quantisation_options.h"
#include "hone/train/evaluation.h"

namespace hone::run {

/// The layers that the recipe means. Throws: ConfigError listing what stands against them
/// (model::quantisation_problems).
model::QuantisedLayers quantised_layers(const QuantisationOptions& options,
                                        const model::DecoderImpl& decoder,
                                        at::ScalarType scale_type);

/// The recipe's quantisation as a part of a run: from `start` on its layers compute as the integers
/// that they will be, in steps, scores and answers, by the product that integers have; gradients go
/// straight through. The report compares the model with itself in float before it learnt to be
/// rounded and after, by the next tokens of the held-out text. The decoder is rounded as long as
/// this lives; run::ModelFiles makes integers of it.
class Quantisation final : public Part {
 public:
  explicit Quantisation(const QuantisationOptions& options) : options_(options) {}
  ~Quantisation() override;

  std::string name() const override { return "quantisation"; }
  void open(ReadyRun& run) override;
  void convert(const ScoredRun& run) override;
  void attach(train::Task& task, optim::Optimizer& optimizer) override;
  void close() override;
  void finished(model::Decoder& decoder, const RunTokenizer& tokenizer) override;
  void report(const EndedRun& run, Json& report) override;
  Json save() const override;
  void load(const Json& state) override;

 private:
  void begin(const model::Decoder& decoder, at::ScalarType scale_type);
  /// Smooths the decoder and measures its layers, as the recipe says.
  void calibrate(const std::vector<model::DecoderInput>& text);
  void set_rounding(bool on);
  /// How rounding changes the decoder as it is now, over `sets`; it is rounded afterwards.
  Json quality(const std::vector<train::EvaluationSet>& sets);

  const QuantisationOptions options_;
  model::Decoder decoder_{nullptr};
  bool goes_on_ = false;  // from a checkpoint
  int64_t first_ = 0;     // steps in float before those that are rounded
  model::QuantisedLayers layers_;
  bool on_ = false;
  std::vector<train::EvaluationSet> held_out_;
  Json untrained_, trained_;
  Json sensitivity_;  // of each layer, the worst first
};

}  // namespace hone::run
