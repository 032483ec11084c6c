/// Domain adaptation: hone-domain's path.
#pragma once
#include <ostream>
#include <string>

#include "hone/model/memory.h"
#include "hone/paths/domain_config.h"
#include "hone/paths/run_context.h"

namespace hone::paths {

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
RunReport run_domain(const DomainConfig& config, const RunContext& context);

/// What the run would do and need, as text for people; nothing is trained or written.
struct DomainPlan {
  model::MemoryPlan memory;
  bool fits = true;  ///< whether peak and process fit into the machine's memory
  std::string text;
};
DomainPlan plan_domain(const DomainConfig& config);

/// Every training document with its tokens, labels and weights, as JSONL into `path`; the first
/// few as text for people on `out`.
void dump_domain_data(const DomainConfig& config, const std::string& path, std::ostream& out);

}  // namespace hone::paths
