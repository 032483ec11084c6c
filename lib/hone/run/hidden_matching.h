/// Lets the layers of a student become like those of its teacher.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "hone/core/json.h"
#include "hone/data/batch.h"
#include "hone/model/decoder.h"
#include "hone/model/memory.h"
#include "hone/optim/optimizer.h"
#include "hone/run/distillation_options.h"
#include "hone/run/side_loss.h"
#include "hone/train/loop.h"
#include "hone/train/options.h"

namespace hone::run {

class DecoderStep;

/// The teacher's layer, as its place from 0, that each of the student's last `last` layers (0: all)
/// is compared with, by the number of the student's: the one that it was cut from, where the
/// teacher has all numbers of a pruned student; else the m-th of L of the student the
/// round(m L' / L)-th of L' of the teacher.
std::map<int64_t, size_t> layer_map(const model::DecoderConfig& student,
                                    const model::DecoderConfig& teacher, int64_t last);

/// Bytes that a step of `request` takes for it.
int64_t hidden_bytes(const HiddenOptions& options, const model::DecoderConfig& student,
                     const model::DecoderConfig& teacher, const model::MemoryRequest& request);

/// Adds to a step's gradient that of `weight` times the mean over the mapped layers of
/// loss::hidden_distance between the blocks' outputs, weighted and divided as the loss is. Where
/// the widths differ the student's go through matrices [teacher's, student's], one a layer, that
/// are trained beside it at its learning rate, lie in the checkpoints and are dropped with this.
class HiddenMatching {
 public:
  /// The teacher has to pass the batch ahead of the student.
  /// Throws: hone::Error for models whose blocks pass on several streams.
  HiddenMatching(const HiddenOptions& options, model::Decoder student, model::Decoder teacher,
                 uint64_t seed);

  /// Wraps functions of the task.
  void attach(train::Task& task, const train::TrainOptions& train, DecoderStep& step);
  void close(DecoderStep& step);

  /// The mean distance of the last log_every steps.
  std::optional<double> mean() const { return shown_.mean(); }
  Json state() const { return shown_.state(); }
  void restore(const Json& state) { shown_.restore(state); }

 private:
  /// Of the step that begins.
  void set_step(int64_t step, int64_t steps);
  at::Tensor loss(const data::Batch& batch);
  std::optional<double> take();
  void step_projections(const train::StepStats& stats, double clip_norm);
  /// Projections and what their optimiser keeps, by name.
  std::map<std::string, at::Tensor> tensors() const;

  const HiddenOptions options_;
  model::Decoder student_, teacher_;
  std::map<int64_t, size_t> map_;
  std::map<int64_t, at::Tensor> projections_;  // by the student's layer
  std::unique_ptr<optim::Optimizer> optimizer_;
  const DecoderStep* step_ = nullptr;
  double weight_ = 0;                       // of the step
  std::map<int64_t, at::Tensor> students_;  // outputs of the pass, by number
  std::map<size_t, at::Tensor> teachers_;   // by place
  double sum_ = 0, counted_ = 0;            // of the step's tokens
  SideLoss shown_{"hidden"};
};

}  // namespace hone::run
