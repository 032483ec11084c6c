/// report.json and report.html of a run.
#pragma once
#include <string>
#include <vector>

#include "hone/core/json.h"

namespace hone::io {

/// Writes <folder>/report.json and <folder>/report.html from `report` and the folder's
/// metrics.jsonl, config.json and manifest.json (each where it exists).
///
/// The page needs no network: plots are inline SVG. It shows loss, learning rate, gradient norm,
/// tokens per second, perplexity per held-out set, objects of numbers over the steps (such as
/// "shares"), perplexity before and after, what `report` says, configuration and manifest.
/// Throws: IoError.
void write_report(const std::string& folder, const Json& report);

/// The page itself: `rows` as in metrics.jsonl; `config` and `manifest` may be null.
std::string render_report(const Json& report, const std::vector<Json>& rows, const Json& config,
                          const Json& manifest);

}  // namespace hone::io
