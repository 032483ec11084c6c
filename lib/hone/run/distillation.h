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
#include "hone/run/hidden_matching.h"
#include "hone/run/on_policy.h"
#include "hone/run/part.h"
#include "hone/run/teacher_cache.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::run {

/// The sizes of the teacher in this folder, read without its weights.
/// Throws: IoError for what is no model; Error unless it has the tokens of `text`, id by id.
model::DecoderConfig check_teacher(const std::string& folder, const text::TokenizerFolder& text);

/// Bytes that a run of `student` whose step is `request` takes beside its own for its teacher: the
/// weights, unless it is the student's base, the hidden states of a batch and a chunk of logits; or
/// a batch's rows of a cache. Reads no weights.
/// Throws: what check_teacher and CacheInfo::read throw; Error if the run trains the base that is
///   to teach it.
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
  Json save() const override;
  void load(const Json& state) override;

 private:
  kernels::SoftTargets soft_targets(const data::Batch& batch, const model::DecoderInput& input);
  /// Scores the teacher on the run's held-out sets.
  void score(const train::Task& task);

  DistillationOptions options_;
  ReadyRun* run_ = nullptr;
  model::Decoder teacher_{nullptr};  // null: cache_ stands for it
  std::optional<TeacherCache> cache_;
  std::optional<HiddenMatching> hidden_;
  std::optional<OnPolicy> on_policy_;
  at::Tensor divergence_;  // of the last batch's targets
  double sum_ = 0;         // over the targets since the last row of metrics
  int64_t targets_ = 0;
  std::optional<double> last_;  // mean of the last such row
  Json perplexity_;             // the teacher's, by domain
};

}  // namespace hone::run
