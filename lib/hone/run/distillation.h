/// Lets a run learn from a teacher beside its text.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "hone/model/config.h"
#include "hone/model/decoder.h"
#include "hone/model/memory.h"
#include "hone/run/distillation_options.h"
#include "hone/run/part.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::run {

/// Bytes that a run of `student` whose step is `request` takes beside its own for its teacher: the
/// weights, unless it is the student's base, the hidden states of a batch and a chunk of logits.
/// Reads no weights. Throws: IoError for what is no model; Error unless it has the tokens of
/// `text`,
///   id by id, or if the run trains the base that is to teach it.
int64_t teacher_bytes(const Config& config, const text::TokenizerFolder& text,
                      const model::DecoderConfig& student, const model::MemoryRequest& request);

/// Scores the teacher, adds its part to the loss of every batch (kernels::linear_distillation), and
/// adds `divergence`, a step's mean over its targets, to the metrics.
class Distillation : public Part {
 public:
  explicit Distillation(const DistillationOptions& options) : options_(options) {}

  std::string name() const override { return "distillation"; }
  void open(ReadyRun& run) override;
  void attach(train::Task& task, optim::Optimizer& optimizer) override;
  void close() override;
  void report(const EndedRun& run, Json& report) override;
  Json save() const override { return perplexity_; }
  void load(const Json& state) override { perplexity_ = state; }

 private:
  kernels::SoftTargets soft_targets(const model::DecoderInput& input);

  DistillationOptions options_;
  ReadyRun* run_ = nullptr;
  model::Decoder teacher_{nullptr};
  at::Tensor divergence_;  // of the last batch's targets
  double sum_ = 0;         // over the targets since the last row of metrics
  int64_t targets_ = 0;
  std::optional<double> last_;  // mean of the last such row
  Json perplexity_;             // the teacher's, by domain
};

}  // namespace hone::run
