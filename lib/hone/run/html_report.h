/// report.json and report.html of a run.
#pragma once
#include <string>

#include "hone/core/json.h"
#include "hone/view/curves.h"

namespace hone::run {

/// Writes <folder>/report.json and <folder>/report.html from `report` and the folder's
/// metrics.jsonl, decisions.jsonl, config.json and manifest.json (each where it exists).
///
/// The page needs no network: plots are inline SVG, drawn from the rows by Curves. From `report` it
/// shows "about" as the heading (the folder's name where it is absent or empty); the scalars as
/// figures; "before" and "after", each {"step", "domains": [{"domain", "tokens", "perplexity"}]},
/// side by side, null for "after" being one that was not measured; the "verdict" of "guard"; and
/// the rest as tables.
/// Throws: IoError.
void write_report(const std::string& folder, const Json& report);

/// The page itself; `config` and `manifest` may be null.
std::string render_report(const Json& report, const view::Curves& curves, const Json& config,
                          const Json& manifest);

}  // namespace hone::run
