// Computes what tests/interop/tune_pareto.py and tune_importance.py compare with Optuna.
#include "hone/tune/importance.h"
#include "hone/tune/report/export.h"
#include "hone/tune/samplers/hypervolume.h"
#include "probe.h"

using namespace hone;
using namespace hone::tune;

namespace {

Json answer(const Json& ask) {
  const std::string what = ask.at("ask").get<std::string>();
  if (what == "front") {
    Json numbers = Json::array();
    for (const TrialPtr& trial : pareto_front(probe::study(ask.at("study")))) {
      numbers.push_back(trial->number);
    }
    return numbers;
  }
  if (what == "importance") {
    Json result = Json::array();
    for (const auto& [name, importance] : importances(
             probe::study(ask.at("study")), {.target_quantile = ask.at("target").get<double>(),
                                             .region_quantile = ask.at("region").get<double>(),
                                             .evaluate_on_local = ask.at("local").get<bool>(),
                                             .normalize = ask.at("normalize").get<bool>()})) {
      result.push_back({name, importance});
    }
    return result;
  }
  if (what == "csv") return trials_csv(probe::study(ask.at("study")));
  const Losses rows = probe::matrix(ask.at("rows"));
  if (what == "ranks") return domination_ranks(rows, ask.at("at_least").get<size_t>());
  if (what == "constrained_ranks") {
    return constrained_ranks(rows, probe::numbers(ask.at("violations")),
                             ask.at("at_least").get<size_t>());
  }
  if (what == "crowding") return probe::numbers(crowding_distances(rows));
  if (what == "reference") return probe::numbers(reference_point(rows));
  if (what == "volume") {
    return probe::number(hypervolume(rows, probe::numbers(ask.at("reference"))));
  }
  if (what == "subset") {
    return hypervolume_subset(rows, ask.at("count").get<size_t>(),
                              probe::numbers(ask.at("reference")));
  }
  if (what == "best") return best_rows(rows, ask.at("count").get<size_t>());
  throw Error("cannot answer " + what);
}

}  // namespace

int main() { return probe::serve(answer); }
