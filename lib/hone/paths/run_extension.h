/// What a path adds to the run of another.
#pragma once
#include <cstdint>
#include <string>

#include "hone/core/json.h"
#include "hone/data/loader.h"
#include "hone/io/run_folder.h"
#include "hone/kernels/adamw.h"
#include "hone/model/decoder.h"
#include "hone/paths/decoder_step.h"
#include "hone/paths/domain_data.h"
#include "hone/train/trainer.h"

namespace hone::paths {

/// What may happen to a run beyond its recipe, for its plan: what controllers can turn on.
struct PlanChanges {
  bool branch_dropout = false;  ///< dropout of the blocks' branches
  bool lora_dropout = false;    ///< dropout on the adapter's input
  bool accumulates = false;     ///< more than one batch a step
  bool keeps_all = false;       ///< no block is recomputed
  int64_t snapshots = 0;        ///< of what is trained and its optimiser's state; kept by checkpoints too
};

/// A run that is ready to train, its adapter in place. Lives as long as the run.
struct RunParts {
  const DomainConfig& config;
  model::Decoder& decoder;
  data::Loader& loader;
  DecoderStep& step;
  const DomainData& data;
  io::RunFolder& folder;
  const Json& manifest;
};

/// Everything does nothing by default.
class RunExtension {
 public:
  virtual ~RunExtension() = default;

  /// The run folder is open; nothing has been read or written in it yet.
  virtual void opened(const io::RunFolder& folder) {}
  /// What the run's plan must count beyond its recipe.
  virtual PlanChanges changes() const { return {}; }
  /// Before the optimiser is made.
  virtual void open(RunParts& parts) {}
  /// Before the main phase; `optimizer` lives until close().
  virtual void attach(train::Task& task, kernels::FusedAdamW& optimizer) {}
  /// After the main phase, however it ended.
  virtual void close() {}
  /// What a checkpoint holds of it. load() comes before the weights are read into the decoder.
  virtual Json save() const { return nullptr; }
  virtual void load(const Json& state) {}
  /// Adds to report.json.
  virtual void report(Json& report) {}
};

}  // namespace hone::paths
