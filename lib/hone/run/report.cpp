#include "hone/run/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "hone/config/app_arguments.h"
#include "hone/core/file.h"
#include "hone/machine/hardware.h"
#include "hone/machine/stop_signal.h"

namespace hone::run {
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

Json vocabulary_json(const FinishedRun& run) {
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
  const int64_t ids = std::ssize(run.growth->added), terms = run.growth->terms();
  return {{"terms", terms},
          {"new_ids", ids},
          {"intermediate_ids", ids - terms},
          {"mode", enum_name(run.config.vocabulary.mode)},
          {"tokens", std::move(tokens)},
          {"unchanged", run.growth->unchanged.size()},
          {"left_out", run.growth->left_out.size()},
          {"held_out", std::move(lengths)}};
}

}  // namespace

const train::Evaluation* EndedRun::last_evaluation() const {
  return evaluations.empty() ? nullptr : &evaluations.back();
}

const train::Evaluation* EndedRun::final_evaluation() const {
  if (!returned_to) {
    const bool known = outcome.measured && outcome.ending != train::Ending::kDiverged;
    return known ? last_evaluation() : nullptr;
  }
  const auto of_step = std::find_if(evaluations.rbegin(), evaluations.rend(),
                                    [this](const auto& e) { return e.step == *returned_to; });
  return of_step == evaluations.rend() ? nullptr : &*of_step;
}

train::Ending ending_named(const std::string& name) {
  using train::Ending;
  for (const Ending ending : {Ending::kDone, Ending::kDiverged, Ending::kSignal}) {
    if (name == ending_name(ending)) return ending;
  }
  return Ending::kStopped;
}

int exit_code(const train::Outcome& outcome) {
  switch (outcome.ending) {
    case train::Ending::kDiverged:
      return config::kDiverged;
    case train::Ending::kSignal:
      return machine::signal_exit_code(outcome.signal);
    case train::Ending::kDone:
    case train::Ending::kStopped:
      break;
  }
  return config::kDone;
}

Json make_report(const FinishedRun& run) {
  const train::Outcome& outcome = run.ended.outcome;
  const bool told = outcome.ending == train::Ending::kStopped && !run.ended.stopped_by.empty();
  Json report = {{"path", "domain"},
                 {"about", run.config.about},
                 {"ending", told ? run.ended.stopped_by : ending_name(outcome.ending)}};
  if (!run.config.train.only_evaluates()) {
    report["steps"] = outcome.steps;
    if (run.config.train.epochs) {
      report["epochs"] = *run.config.train.epochs;
      report["planned_steps"] = run.config.train.steps;
    }
    if (run.config.vocabulary.embedding_steps > 0) {
      report["embedding_steps"] = run.config.vocabulary.embedding_steps;
    }
    report["tokens"] = outcome.tokens;
    report["loss"] = std::isfinite(outcome.loss) ? Json(outcome.loss) : Json(nullptr);
    report["skipped_steps"] = outcome.skipped;
    report["seconds"] = outcome.seconds;
    report["mean_tokens_per_second"] = outcome.mean_tokens_per_second;
  }
  report["peak_memory_bytes"] = machine::peak_resident_bytes();
  const auto& evaluations = run.ended.evaluations;
  const train::Evaluation* after = run.ended.final_evaluation();
  report["before"] = evaluations.empty() ? Json(nullptr) : evaluation_json(evaluations.front());
  report["after"] = after ? evaluation_json(*after) : Json(nullptr);
  const bool complete = run.data.held_out.size() == run.base_held_out.size();
  if (run.growth && complete) report["vocabulary"] = vocabulary_json(run);
  report["data"] = run.data.json();
  return report;
}

std::string guard_verdict(const Json& report) {
  const Json guard = report.value("guard", Json());
  if (!guard.is_object() || guard.at("verdict").is_null()) return "";
  const Json& ratio = guard.at("ratio");
  const std::string times = ratio.is_null() ? "inf" : fmt::format("{:.3f}", ratio.get<double>());
  return fmt::format("guard: {}: perplexity of {} is {} times that of the base, limit {}",
                     guard.at("verdict").get<std::string>(), guard.at("domain").get<std::string>(),
                     times, guard.at("max_ratio").get<double>());
}

std::string summary_text(const Config& config, const train::Outcome& outcome, const Json& report,
                         const std::string& folder) {
  const std::string memory = format_bytes(machine::peak_resident_bytes());
  const bool signal = outcome.ending == train::Ending::kSignal;
  if (config.train.only_evaluates() && !signal) {
    return fmt::format("{}; peak memory {}; see {}",
                       config.quantisation ? "made integers of the model" : "scored", memory,
                       folder);
  }
  const auto ending = report.at("ending").get<std::string>();
  if (outcome.steps == 0) {
    return fmt::format("{} before the first step; peak memory {}; see {}", ending, memory, folder);
  }
  const std::string verdict = guard_verdict(report);
  return fmt::format(
      "{} after {} steps: loss {:.4f}, mean {:.0f} tokens/s, peak memory {}{}; see {}", ending,
      outcome.steps, outcome.loss, outcome.mean_tokens_per_second, memory,
      verdict.empty() ? "" : "; " + verdict, folder);
}

std::string report_table(const Json& report) {
  if (report.at("before").is_null()) return "";
  const Json& before = report.at("before").at("domains");
  const Json after = report.at("after").is_null() ? Json() : report.at("after").at("domains");
  if (before.empty()) return "";
  const auto number = [](const Json& value) {
    return value.is_null() ? std::nan("") : value.get<double>();
  };
  std::string table =
      fmt::format("{:<20}{:>12}{:>14}{:>9}\n", "perplexity", "before", "after", "ratio");
  for (size_t i = 0; i < before.size(); ++i) {
    const double was = number(before[i].at("perplexity"));
    const auto domain = before[i].at("domain").get<std::string>();
    if (after.is_null()) {
      table += fmt::format("{:<20}{:>12.3f}{:>14}{:>9}\n", domain, was, "not measured", "");
    } else {
      const double now = number(after[i].at("perplexity"));
      table += fmt::format("{:<20}{:>12.3f}{:>14.3f}{:>9.3f}\n", domain, was, now, now / was);
    }
  }
  if (report.contains("vocabulary")) {
    const Json& grown = report.at("vocabulary");
    if (grown.contains("new_ids")) {
      table += fmt::format("vocabulary: {} terms in {} new ids, {} of intermediate merges\n",
                           grown.at("terms").get<int64_t>(), grown.at("new_ids").get<int64_t>(),
                           grown.at("intermediate_ids").get<int64_t>());
    }
    for (const Json& set : report.at("vocabulary").at("held_out")) {
      table += fmt::format("tokens per text of {}: {:.2f} before, {:.2f} after\n",
                           set.at("name").get<std::string>(),
                           set.at("tokens_per_document_before").get<double>(),
                           set.at("tokens_per_document_after").get<double>());
    }
  }
  return table;
}

}  // namespace hone::run
