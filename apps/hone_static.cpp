/// hone-static: searches architecture and training hyperparameters before the run.
///
///   hone-static --config recipes/static/lora.json --out runs/search
///
/// Writes into the folder: best.json (a recipe for hone-domain), report.html, report.json,
/// trials.csv, study.db (which optuna and optuna-dashboard open) and trials/. Run again, it goes
/// on.
#include <iostream>

#include "hone/config/app_arguments.h"
#include "hone/paths/static/static.h"
#include "hone/run/config_json.h"

namespace {

using hone::config::AppArguments;
using hone::paths::StaticConfig;

int run(const StaticConfig& config, const AppArguments& arguments) {
  const hone::run::Report report = hone::paths::run_static(
      config, {.app = "hone-static", .out = arguments.out, .resume = arguments.resume});
  std::cout << report.summary << std::endl;
  return report.exit_code;
}

int plan(const StaticConfig& config, const AppArguments&) {
  const hone::paths::StaticPlan plan = hone::paths::plan_static(config);
  std::cout << plan.text;
  return plan.feasible ? hone::config::kDone : hone::config::kFailure;
}

int dump_data(const StaticConfig& config, const AppArguments& arguments) {
  const int64_t count = hone::paths::write_grid(config, *arguments.dump_data);
  std::cout << count << " recipes in " << *arguments.dump_data << "\n";
  return hone::config::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  return hone::config::run_app<StaticConfig>(
      argc, argv,
      {.name = "hone-static",
       .summary = "Searches hyperparameters before the run; --dump-data writes the grid's recipes.",
       .writes = "search",
       .dump_data = true},
      {.run = run, .plan = plan, .dump_data = dump_data});
}
