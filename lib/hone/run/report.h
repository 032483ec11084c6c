/// report.json and the closing line of a domain run.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/run/config.h"
#include "hone/run/data.h"
#include "hone/text/growth.h"
#include "hone/train/loop.h"

namespace hone::run {

/// What the report is made from.
struct FinishedRun {
  const Config& config;
  const train::Outcome& outcome;
  const std::vector<train::Evaluation>& evaluations;  ///< the first is of the base; may be empty
  const std::optional<text::GrowthResult>& growth;
  const std::vector<data::DatasetPtr>& base_held_out;
  const Data& data;
  std::optional<int64_t> returned_to;  ///< step that a guard's stop went back to
  bool pruned = false;                 ///< whether a search stopped the run
};

/// {"ending", "steps", "tokens", ..., "before", "after": scores by data set and domain, "guard"?,
/// "vocabulary"?, "data"}. Perplexities are per token of the base's tokenizer (train::Score).
/// "after" is of the model as the run leaves it, and null where that was not measured; "before" is
/// null where a signal came first.
Json make_report(const FinishedRun& run);

/// The ending that a report calls `name`; one that a search stopped counts as stopped.
train::Ending ending_named(const std::string& name);

/// "guard: held: perplexity of general is 1.043 times that of the base, limit 1.1" of a report with
/// a verdict; "" of another.
std::string guard_verdict(const Json& report);

/// "done after 300 steps: loss 3.214, mean 5120 tokens/s, peak memory 812 MiB; guard: ...; see
/// <folder>".
std::string summary_text(const Config& config, const train::Outcome& outcome, const Json& report,
                         const std::string& folder);

/// A table of perplexity by domain before and after, for a terminal; "" without evaluations.
std::string report_table(const Json& report);

}  // namespace hone::run
