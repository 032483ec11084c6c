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

/// How a run ended.
struct EndedRun {
  const train::Outcome& outcome;
  const std::vector<train::Evaluation>& evaluations;  ///< the first is of the base; may be empty
  std::optional<int64_t> returned_to;  ///< step of the evaluation that a stopped run went back to
  std::string stopped_by;              ///< what a part says that stopped it, for kStopped

  /// Null without evaluations.
  const train::Evaluation* last_evaluation() const;
  /// That of the model as the run leaves it; null where it was not measured.
  const train::Evaluation* final_evaluation() const;
};

/// What the report is made from.
struct FinishedRun {
  const Config& config;
  const EndedRun& ended;
  const std::optional<text::GrowthResult>& growth;
  const std::vector<data::DatasetPtr>& base_held_out;
  const Data& data;
};

/// {"ending", "steps", "tokens", ..., "before", "after": scores by data set and domain,
/// "vocabulary"?, "data"}. Perplexities are per token of the base's tokenizer (train::Score).
/// "after" is of the model as the run leaves it, and null where that was not measured; "before" is
/// null where a signal came first.
Json make_report(const FinishedRun& run);

/// The ending that a report calls `name`; what is none of the loop's own is a part's, which stopped
/// the run.
train::Ending ending_named(const std::string& name);

/// Of the app: 0 done or stopped by a part, kDiverged, signal_exit_code().
int exit_code(const train::Outcome& outcome);

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
