#include "hone/run/meters.h"

#include <set>

#include "hone/train/loop.h"
#include "run/run_fixture.h"
#include "support/allocations.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;
using test::SmallRun;

namespace {

void train_step(SmallRun& run, optim::FusedAdamW& optimizer) {
  run.step->loss(run.loader->next()).sum.backward();
  optimizer.scale_and_clip(1, 0);
  optimizer.step();
  optimizer.zero_grad();
}

std::set<std::string> measured(const train::Signals& signals, const std::string& family) {
  std::set<std::string> layers;
  for (const std::string& name : signals.fresh()) {
    if (name.starts_with(family + "/")) layers.insert(name.substr(family.size() + 1));
  }
  return layers;
}

}  // namespace

TEST_CASE("Signals of layers have the numbers of tensor names; frozen layers have no update") {
  SmallRun run(test::pruned_config());
  optim::FusedAdamW optimizer = run.optimizer();
  for (const auto& item : run.decoder->named_parameters()) {
    if (item.key().starts_with("layers.3.")) item.value().set_requires_grad(false);
  }
  run::Meters meters({.every = 2}, *run.ready);
  meters.attach(optimizer);
  for (int64_t step = 1; step <= 2; ++step) {
    train::Signals signals;
    std::map<std::string, at::Tensor> before;
    for (const auto& [name, tensor] : optimizer.parameters()) {
      before[name] = tensor.detach().clone();
    }
    meters.before_step(step);
    train_step(run, optimizer);
    meters.measure({.step = step}, signals);
    if (step == 1) {
      CHECK(measured(signals, "update_ratio").empty());
      continue;
    }
    CHECK(measured(signals, "update_ratio") == std::set<std::string>{"2", "5", "embeddings"});
    CHECK(measured(signals, "activation_rms") == std::set<std::string>{"2", "3", "5"});
    double update = 0, weights = 0;
    for (const auto& [name, tensor] : optimizer.parameters()) {
      if (model::layer_of(name) != 5) continue;
      update += (tensor.detach() - before[name]).square().sum(at::kDouble).item<double>();
      weights += before[name].square().sum(at::kDouble).item<double>();
    }
    CHECK(*signals.find("update_ratio/5") == Approx(std::sqrt(update / weights)).epsilon(1e-3));
  }
}

TEST_CASE("A step that was skipped has no update, and measuring one copies no parameters") {
  SmallRun run(test::pruned_config());
  optim::FusedAdamW optimizer = run.optimizer();
  run::Meters meters({.every = 1}, *run.ready);
  meters.attach(optimizer);
  train_step(run, optimizer);
  const auto counter = std::make_shared<hone::test::AllocationCounter>();
  train::Signals signals;
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
    meters.before_step(2);
    meters.measure({.step = 2, .skipped = true}, signals);
  }
  CHECK(measured(signals, "update_ratio").empty());
  CHECK(counter->peak() < 4096);
}

TEST_CASE("Nothing is measured before the optimiser that is watched is there") {
  SmallRun run(test::pruned_config());
  optim::FusedAdamW optimizer = run.optimizer();
  run::Meters meters({.every = 1}, *run.ready);
  train_step(run, optimizer);  // of a phase that is not watched
  meters.attach(optimizer);
  CHECK(run.step->take_domain_nll().sum().item<double>() == 0);
  train_step(run, optimizer);
  CHECK(run.step->take_domain_nll().sum().item<double>() > 0);
}
