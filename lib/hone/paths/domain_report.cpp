#include "hone/paths/domain_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "hone/core/hardware.h"
#include "hone/paths/guard.h"
#include "hone/train/progress.h"

namespace hone::paths {
namespace {

const char* ending_name(train::Ending ending) {
  switch (ending) {
    case train::Ending::kDone:
      return "done";
    case train::Ending::kStopped:
      return "stopped by the guard";
    case train::Ending::kDiverged:
      return "diverged";
    case train::Ending::kSignal:
      return "stopped by a signal";
  }
  return "?";
}

Json evaluation_json(const train::Evaluation& evaluation) {
  return {{"step", evaluation.step},
          {"sets", train::scores_json(evaluation.scores)},
          {"domains", train::scores_json(train::by_domain(evaluation.scores))}};
}

/// The evaluation of the model that is saved.
const train::Evaluation& final_evaluation(const DomainOutcome& run) {
  if (run.returned_to) {
    for (auto it = run.evaluations.rbegin(); it != run.evaluations.rend(); ++it) {
      if (it->step == *run.returned_to) return *it;
    }
  }
  return run.evaluations.back();
}

/// `ratio` is of the last evaluation: the one that stopped the run where it did.
Json guard_json(const DomainOutcome& run) {
  Guard guard(run.config.guard);
  guard.set_reference(run.evaluations.front().scores);
  guard.judge(run.evaluations.back().scores);
  return {{"domain", *run.config.guard.domain},
          {"max_ratio", run.config.guard.max_ratio},
          {"ratio", guard.ratio() ? Json(*guard.ratio()) : Json(nullptr)},
          {"returned_to", run.returned_to ? Json(*run.returned_to) : Json(nullptr)}};
}

Json vocabulary_json(const DomainOutcome& run) {
  Json tokens = Json::array(), lengths = Json::array();
  for (const text::GrownToken& token : run.growth->added) {
    if (token.kind != text::GrownToken::Kind::kIntermediate) tokens.push_back(token.text);
  }
  for (size_t i = 0; i < run.base_held_out.size(); ++i) {
    const data::DatasetCounts &before = run.base_held_out[i]->counts,
                              &after = run.data.held_out[i]->counts;
    const auto per_document = [](const data::DatasetCounts& counts) {
      return static_cast<double>(counts.tokens) /
             static_cast<double>(std::max<int64_t>(1, counts.documents));
    };
    lengths.push_back({{"name", run.base_held_out[i]->name},
                       {"tokens_per_document_before", per_document(before)},
                       {"tokens_per_document_after", per_document(after)}});
  }
  return {{"added", run.growth->added.size()},
          {"tokens", std::move(tokens)},
          {"unchanged", run.growth->unchanged.size()},
          {"held_out", std::move(lengths)}};
}

}  // namespace

Json domain_report(const DomainOutcome& run) {
  const train::Outcome& outcome = run.outcome;
  Json report = {{"path", "domain"},
                 {"about", run.config.about},
                 {"ending", run.pruned ? "pruned" : ending_name(outcome.ending)}};
  if (run.config.train.steps > 0) {
    report["steps"] = outcome.steps;
    if (run.config.vocabulary.embedding_steps > 0) {
      report["embedding_steps"] = run.config.vocabulary.embedding_steps;
    }
    report["tokens"] = outcome.tokens;
    report["loss"] = std::isfinite(outcome.loss) ? Json(outcome.loss) : Json(nullptr);
    report["skipped_steps"] = outcome.skipped;
    report["seconds"] = outcome.seconds;
    report["tokens_per_second"] = outcome.tokens_per_second;
  }
  report["peak_memory_bytes"] = peak_resident_bytes();
  report["before"] = evaluation_json(run.evaluations.front());
  report["after"] = evaluation_json(final_evaluation(run));
  if (run.config.guard.domain) {
    report["guard"] = guard_json(run);
  }
  if (run.growth) report["vocabulary"] = vocabulary_json(run);
  report["data"] = run.data.json();
  return report;
}

std::string domain_summary(const DomainConfig& config, const train::Outcome& outcome,
                           const std::string& folder) {
  const std::string memory = train::format_bytes(peak_resident_bytes());
  if (config.train.steps == 0) return fmt::format("scored; peak memory {}; see {}", memory, folder);
  return fmt::format("{} after {} steps: loss {:.4f}, {:.0f} tokens/s, peak memory {}; see {}",
                     ending_name(outcome.ending), outcome.steps, outcome.loss,
                     outcome.tokens_per_second, memory, folder);
}

std::string domain_table(const Json& report) {
  const Json &before = report.at("before").at("domains"), &after = report.at("after").at("domains");
  if (before.empty()) return "";
  const auto number = [](const Json& value) {
    return value.is_null() ? std::nan("") : value.get<double>();
  };
  std::string table =
      fmt::format("{:<20}{:>12}{:>12}{:>9}\n", "perplexity", "before", "after", "ratio");
  for (size_t i = 0; i < before.size(); ++i) {
    const double was = number(before[i].at("perplexity")), now = number(after[i].at("perplexity"));
    table += fmt::format("{:<20}{:>12.3f}{:>12.3f}{:>9.3f}\n",
                         before[i].at("domain").get<std::string>(), was, now, now / was);
  }
  if (report.contains("vocabulary")) {
    for (const Json& set : report.at("vocabulary").at("held_out")) {
      table += fmt::format("tokens per text of {}: {:.2f} before, {:.2f} after\n",
                           set.at("name").get<std::string>(),
                           set.at("tokens_per_document_before").get<double>(),
                           set.at("tokens_per_document_after").get<double>());
    }
  }
  return table;
}

}  // namespace hone::paths
