/// hone-domain: adapts a DeepSeek-family model to domains.
///
///   hone-domain --config recipes/domain/adapt.json --out runs/medical
///   hone-domain --config recipes/domain/distil.json --cache-teacher caches/demo
///
/// Writes into the run folder: model/ (a checkpoint folder that transformers loads), adapter/ with
/// tuning lora, report.html, report.json, metrics.jsonl, TensorBoard events and checkpoints/.
#include <iostream>

#include "hone/config/app_arguments.h"
#include "hone/run/cache_teacher.h"
#include "hone/run/config_json.h"
#include "hone/run/report.h"
#include "hone/run/run.h"

namespace {

using hone::config::AppArguments;
using hone::run::Config;

int run(const Config& config, const AppArguments& arguments) {
  const hone::run::Report report =
      hone::run::execute(config, {"hone-domain", arguments.out, arguments.resume, arguments.force});
  std::cout << hone::run::report_table(report.json) << report.summary << std::endl;
  return report.exit_code;
}

int plan(const Config& config, const AppArguments& arguments) {
  const hone::run::Plan plan = hone::run::make_plan(config, nullptr, arguments.out);
  std::cout << plan.text;
  return plan.fits ? hone::config::kDone : hone::config::kFailure;
}

int dump_data(const Config& config, const AppArguments& arguments) {
  hone::run::dump_data(config, *arguments.dump_data, std::cout);
  return hone::config::kDone;
}

int cache_teacher(const Config& config, const AppArguments& arguments) {
  const hone::run::Report report = hone::run::cache_teacher(config, *arguments.cache_teacher);
  std::cout << report.summary << std::endl;
  return report.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  return hone::config::run_app<Config>(
      argc, argv,
      {.name = "hone-domain",
       .summary = "Adapts a DeepSeek-family model to domains.",
       .dump_data = true,
       .force = true,
       .cache_teacher = true},
      {.run = run, .plan = plan, .dump_data = dump_data, .cache_teacher = cache_teacher});
}
