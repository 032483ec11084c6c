/// What a path adds to the run of another.
#pragma once
#include <cstdint>
#include <string>

#include "hone/config/reader.h"
#include "hone/config/writer.h"
#include "hone/core/json.h"
#include "hone/data/loader.h"
#include "hone/io/run_folder.h"
#include "hone/model/decoder.h"
#include "hone/optim/optimizer.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/train/loop.h"

namespace hone::run {

/// What may happen to a run beyond its recipe, for its plan: what controllers can turn on.
struct PlanChanges {
  bool branch_dropout = false;  ///< dropout of the blocks' branches
  bool lora_dropout = false;    ///< dropout on the adapter's input
  bool accumulates = false;     ///< more than one batch a step
  bool keeps_all = false;       ///< no block is recomputed
  int64_t snapshots = 0;  ///< of what is trained and its optimiser's state; kept by checkpoints too
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
};

/// Everything does nothing by default.
class Extension {
 public:
  virtual ~Extension() = default;

  /// The run folder is open; nothing has been read or written in it yet.
  virtual void opened(const io::RunFolder& folder) {}
  /// The resolved configuration of an older run of this path with the keys that came since at their
  /// defaults. Throws: ConfigError for what can no longer be read.
  virtual Json reread(const Json& config) const {
    return config::to_json(config::read_config<Config>(config));
  }
  /// What the run's plan must count beyond its recipe.
  virtual PlanChanges changes() const { return {}; }
  /// Before the optimiser is made.
  virtual void open(ReadyRun& parts) {}
  /// Before the main phase; `optimizer` lives until close().
  virtual void attach(train::Task& task, optim::Optimizer& optimizer) {}
  /// After the main phase, however it ended.
  virtual void close() {}
  /// What a checkpoint holds of it. load() comes before the weights are read into the decoder.
  virtual Json save() const { return nullptr; }
  virtual void load(const Json& state) {}
  /// Adds to report.json.
  virtual void report(Json& report) {}
};

}  // namespace hone::run
