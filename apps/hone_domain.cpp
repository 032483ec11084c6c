/// hone-domain: adapts a DeepSeek-family model to domains.
///
///   hone-domain --config recipes/domain/adapt.json --out runs/medical
///
/// Writes into the run folder: model/ (a checkpoint folder that transformers loads), adapter/ with
/// tuning lora, report.html, report.json, metrics.jsonl, TensorBoard events and checkpoints/.
#include <fmt/format.h>

#include <iostream>

#include "hone/config/app_arguments.h"
#include "hone/config/writer.h"
#include "hone/core/log.h"
#include "hone/paths/domain.h"
#include "hone/paths/domain_report.h"

namespace {

using hone::config::AppArguments;
using hone::paths::DomainConfig;

int run(const DomainConfig& config, const AppArguments& arguments) {
  if (arguments.out.empty()) {
    throw hone::config::UsageError("--out is needed: the folder that the run writes");
  }
  const hone::paths::RunReport report = hone::paths::run_domain(
      config, {"hone-domain", arguments.out, arguments.resume, hone::config::to_json(config),
               arguments.force});
  std::cout << hone::paths::domain_table(report.json) << report.summary << std::endl;
  return hone::paths::exit_code(report);
}

int plan(const DomainConfig& config, const AppArguments& arguments) {
  const hone::paths::DomainPlan plan = hone::paths::plan_domain(config, nullptr, arguments.out);
  std::cout << plan.text;
  return plan.fits ? hone::config::kDone : hone::config::kFailure;
}

int dump_data(const DomainConfig& config, const AppArguments& arguments) {
  hone::paths::dump_domain_data(config, *arguments.dump_data, std::cout);
  return hone::config::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  hone::set_log_sink([](hone::LogLevel level, std::string_view message) {
    std::cerr << (level == hone::LogLevel::kWarning ? "warning: " : "") << message << std::endl;
  });
  return hone::config::run_app<DomainConfig>(
      argc, argv,
      {.name = "hone-domain",
       .summary = "Adapts a DeepSeek-family model to domains.",
       .dump_data = true,
       .force = true},
      {.run = run, .plan = plan, .dump_data = dump_data});
}
