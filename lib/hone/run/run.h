/// One tuning run: domain adaptation, and what joins it.
#pragma once
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "hone/model/config.h"
#include "hone/model/memory.h"
#include "hone/run/config.h"
#include "hone/run/context.h"
#include "hone/run/data.h"
#include "hone/run/part.h"

namespace hone::run {

/// Adapts a base to the domains of the recipe:
///
///   base -> scores before -> grown vocabulary, new rows the mean of their pieces' -> embeddings
///   trained alone -> weighted training on the mix, guarded -> scores after -> model saved
///
/// Writes into context.out: config.json, manifest.json, metrics.jsonl and TensorBoard events,
/// checkpoints/, tokenizer/, model/ (a checkpoint folder that transformers loads; an adapter is
/// merged into it), adapter/ and for a grown vocabulary base/ (with tuning lora), report.json and
/// report.html. With train.steps 0 it only scores the base on the held-out sets.
/// Throws: ConfigError, IoError, DataError, Error; a diverged run is a result, not an exception.
///
/// `parts` join the run, in this order, before the guard of the recipe. A stop by one of them goes
/// back to the last evaluation that passed, where one has had its checkpoint kept
/// (train::Task::save_evaluated).
Report execute(const Config& config, const Context& context, const std::vector<Part*>& parts = {});

/// What the run would do and need, as text for people; nothing is trained or written.
struct Plan {
  model::DecoderConfig decoder;  ///< the model that trains
  Data data;
  int64_t steps = 0;  ///< of the main phase
  model::MemoryPlan memory;
  bool on_gpu = false;
  int64_t process_bytes =
      0;                     ///< predicted peak of the whole process, on the GPU where it is on one
  int64_t device_bytes = 0;  ///< what there is
  int64_t disk_bytes = 0;    ///< that the run writes: checkpoints kept at once, and the result
  bool fits = true;          ///< in memory, and on the disk of the run's folder
  std::string text;
};
/// `out` is the run's folder, the current one if "": its disk is asked.
Plan make_plan(const Config& config, Cache* cache = nullptr, const std::string& out = "",
               const PlanChanges& changes = {});

/// Every training document with its tokens, labels and weights, as JSONL into `path`; the first
/// few as text for people on `out`.
void dump_data(const Config& config, const std::string& path, std::ostream& out);

}  // namespace hone::run
