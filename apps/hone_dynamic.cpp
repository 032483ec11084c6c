/// hone-dynamic: tunes a DeepSeek-family model while controllers adapt the run.
///
///   hone-dynamic --config recipes/dynamic/prune.json --out runs/pruned
///
/// Writes into the run folder what hone-domain writes, and decisions.jsonl.
#include <iostream>

#include "hone/config/app_arguments.h"
#include "hone/paths/dynamic/dynamic.h"
#include "hone/run/config_json.h"
#include "hone/run/report.h"

namespace {

using hone::config::AppArguments;
using hone::paths::DynamicConfig;

int run(const DynamicConfig& config, const AppArguments& arguments) {
  const hone::run::Report report = hone::paths::run_dynamic(
      config, {"hone-dynamic", arguments.out, arguments.resume, arguments.force},
      {arguments.dry_run, arguments.replay, arguments.serve});
  std::cout << hone::run::report_table(report.json) << report.summary << std::endl;
  return report.exit_code;
}

int plan(const DynamicConfig& config, const AppArguments& arguments) {
  const hone::run::Plan plan = hone::paths::plan_dynamic(config, arguments.out);
  std::cout << plan.text;
  return plan.fits ? hone::config::kDone : hone::config::kFailure;
}

int dump_data(const DynamicConfig& config, const AppArguments& arguments) {
  hone::run::dump_data(config.run, *arguments.dump_data, std::cout);
  return hone::config::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  return hone::config::run_app<DynamicConfig>(
      argc, argv,
      {.name = "hone-dynamic",
       .summary = "Tunes a DeepSeek-family model while controllers adapt the run.",
       .dump_data = true,
       .control = true,
       .force = true},
      {.run = run, .plan = plan, .dump_data = dump_data});
}
