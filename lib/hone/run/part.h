/// What joins a run: guards, controllers, a search's trial, teachers.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <vector>

#include "hone/core/json.h"

namespace hone::data {
class Loader;
}
namespace hone::io {
class RunFolder;
}
namespace hone::model {
class Decoder;
}
namespace hone::optim {
class Optimizer;
}
namespace hone::text {
struct TokenizerFolder;
}
namespace hone::train {
struct Evaluation;
struct EvaluationSet;
struct Task;
}  // namespace hone::train

namespace hone::run {

class DecoderStep;
struct Config;
struct Data;
struct EndedRun;
struct RunTokenizer;

/// What may happen to a run beyond its recipe, for its plan: what parts can turn on.
struct PlanChanges {
  bool branch_dropout = false;  ///< dropout of the blocks' branches
  bool lora_dropout = false;    ///< dropout on the adapter's input
  bool accumulates = false;     ///< more than one batch a step
  bool keeps_all = false;       ///< no block is recomputed
  int64_t snapshots = 0;  ///< of what is trained and its optimiser's state; kept by checkpoints too

  PlanChanges& operator+=(const PlanChanges& more) {
    branch_dropout = branch_dropout || more.branch_dropout;
    lora_dropout = lora_dropout || more.lora_dropout;
    accumulates = accumulates || more.accumulates;
    keeps_all = keeps_all || more.keeps_all;
    snapshots += more.snapshots;
    return *this;
  }
};

/// A run that is ready to train, its adapter in place. Lives as long as the run.
struct ReadyRun {
  const Config& config;
  model::Decoder& decoder;
  data::Loader& loader;
  DecoderStep& step;
  const Data& data;
  io::RunFolder& folder;
  const Json& manifest;
  const text::TokenizerFolder& text;
  at::ScalarType saved_type = at::kFloat;  ///< in which most numbers of the model are written
};

/// A run that trains nothing (train.steps 0), its base scored. Lives as long as the call.
struct ScoredRun {
  const Config& config;
  model::Decoder& decoder;
  const Data& data;  ///< its held-out sets
  const std::vector<train::EvaluationSet>& held_out;
  at::ScalarType saved_type;
};

/// One of what joins a run. The functions are called in the order in which they stand here; those
/// of several parts in the order of the list that execute() was given, close() in the reverse one.
/// By default everything does nothing.
class Part {
 public:
  virtual ~Part() = default;

  /// The key of save() in checkpoints.
  virtual std::string name() const = 0;
  /// Whether it lets the run keep checkpoints, so that it can be gone on with and gone back in.
  virtual bool keeps_checkpoints() const { return true; }
  /// Whether it lets the run write its tokenizer and model.
  virtual bool keeps_model() const { return true; }

  /// The run folder is open; nothing has been read or written in it yet.
  virtual void opened(const io::RunFolder& folder) {}
  /// The resolved recipe, for config.json, where it holds more than a run's own; else null.
  virtual Json recipe() const { return nullptr; }
  /// Such a recipe of an older run with the keys that came since at their defaults; else null.
  /// Throws: ConfigError for what can no longer be read.
  virtual Json reread(const Json& recipe) const { return nullptr; }
  /// What the run's plan must count beyond its recipe.
  virtual PlanChanges changes() const { return {}; }
  /// The base has been scored on the held-out sets; not in a run that is gone on with.
  virtual void scored(const train::Evaluation& base) {}
  /// In a run that trains nothing, in place of the four below. What changes the decoder does so
  /// here; it is scored again then.
  virtual void convert(const ScoredRun& run) {}
  /// Before the optimiser is made. What changes the decoder does so here.
  virtual void open(ReadyRun& run) {}
  /// Before the main phase; may replace functions of the task, or wrap them. Both live until
  /// close().
  virtual void attach(train::Task& task, optim::Optimizer& optimizer) {}
  /// After each evaluation of the main phase but the first, whatever parts before it have said:
  /// why the run stops here, in the words of its report, or "" to let it go on. No step follows
  /// the `last`, nor an evaluation at which another part has stopped the run.
  virtual std::string evaluated(const train::Evaluation& evaluation, bool last) { return ""; }
  /// What a checkpoint holds of it. load() comes before the weights are read into the decoder.
  virtual Json save() const { return nullptr; }
  virtual void load(const Json& state) {}
  /// After the main phase, however it ended, and after a run that was stopped has gone back.
  virtual void close() {}
  /// The trained model, its adapter in place; not of a run that was stopped or diverged.
  virtual void finished(model::Decoder& decoder, const RunTokenizer& tokenizer) {}
  /// Adds to report.json.
  virtual void report(const EndedRun& run, Json& report) {}
};

}  // namespace hone::run
