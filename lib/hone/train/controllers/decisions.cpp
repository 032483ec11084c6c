#include "hone/train/controllers/decisions.h"

#include <optional>
#include <utility>

#include "hone/core/difference.h"
#include "hone/core/error.h"
#include "hone/core/names.h"
#include "hone/io/run_folder.h"

template <>
struct hone::EnumNames<hone::train::Moment> {
  static constexpr std::pair<train::Moment, const char*> values[] = {
      {train::Moment::kStart, "start"},
      {train::Moment::kStep, "step"},
      {train::Moment::kEvaluation, "evaluation"},
      {train::Moment::kEnd, "end"}};
};

namespace hone::train {
namespace {

constexpr const char* kRun = "run";

Decision decision_from_json(const Json& json) {
  Decision decision;
  decision.step = json.at("step");
  const auto moment = enum_from_name<Moment>(json.at("at").get<std::string>());
  if (!moment) throw Error("at is none of start, step, evaluation, end");
  decision.moment = *moment;
  decision.controller = json.at("controller");
  decision.rule = json.at("rule");
  for (const auto& [name, value] : json.at("signals").items()) {
    if (value.is_number()) decision.signals[name] = value.get<double>();
  }
  decision.knob = json.at("knob");
  decision.before = json.at("old");
  decision.after = json.at("new");
  decision.applied = json.at("applied");
  return decision;
}

}  // namespace

Json decision_json(const Decision& decision) {
  return {{"step", decision.step},
          {"at", enum_name(decision.moment)},
          {"controller", decision.controller},
          {"rule", decision.rule},
          {"signals", decision.signals},
          {"knob", decision.knob},
          {"old", decision.before},
          {"new", decision.after},
          {"applied", decision.applied}};
}

DecisionLog::DecisionLog(const std::string& folder, const Json& run)
    : lines_(folder + "/" + io::kDecisionsFile) {
  std::vector<Json> rows = io::read_json_lines(lines_.path());
  if (rows.empty()) {
    lines_.write({{kRun, run}});
    return;
  }
  written_ = std::ssize(rows) - 1;
  if (Json first = {{kRun, run}}; rows[0] != first) {
    rows[0] = std::move(first);
    lines_.replace(rows);
  }
}

void DecisionLog::write(const Decision& decision) {
  lines_.write(decision_json(decision));
  ++written_;
}

void DecisionLog::keep(int64_t count) {
  if (count >= written_) return;
  std::vector<Json> rows = io::read_json_lines(lines_.path());
  rows.resize(count + 1);
  lines_.replace(rows);
  written_ = count;
}

void DecisionLog::rewind(int64_t step) {
  if (lines_.rewind(step)) written_ = std::ssize(io::read_json_lines(lines_.path())) - 1;
}

std::vector<Decision> read_decisions(const std::string& path, const Json& run) {
  const std::vector<Json> rows = io::read_json_lines(path);
  if (rows.empty() || !rows[0].is_object() || !rows[0].contains(kRun)) {
    throw IoError(path, "is no decisions.jsonl: its first line does not tell the run");
  }
  must_agree(
      rows[0].at(kRun), run,
      "differs from the run whose decisions are in " + path + "; only that run can be replayed");
  std::vector<Decision> decisions;
  for (size_t i = 1; i < rows.size(); ++i) {
    try {
      decisions.push_back(decision_from_json(rows[i]));
    } catch (const std::exception& error) {
      throw IoError(path + ":" + std::to_string(i + 1),
                    std::string("is no decision: ") + error.what());
    }
  }
  return decisions;
}

}  // namespace hone::train
