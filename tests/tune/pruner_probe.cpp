// Plays studies for tests/interop/tune_pruners.py: keeps one study and its pruner, and says what
// the pruner decides.
#include <memory>

#include "hone/config/reader.h"
#include "hone/tune/pruners/pruners.h"
#include "probe.h"

using namespace hone;
using namespace hone::tune;

namespace {

StudyView study;
std::unique_ptr<Pruner> pruner;

/// {"begin": study, "pruner": options}, {"trial": trial} that is new or changed,
/// {"view": number} -> numbers that the sampler sees,
/// {"prune": number} -> [decision, system attributes], {"signed_rank": differences} -> p.
Json answer(const Json& ask) {
  if (ask.contains("begin")) {
    study = probe::study(ask.at("begin"));
    pruner = make_pruner(config::read_config<PrunerOptions>(ask.at("pruner")));
    return nullptr;
  }
  if (ask.contains("trial")) {
    const auto trial = std::make_shared<Trial>(probe::trial(ask.at("trial")));
    study.trials.resize(std::max(study.trials.size(), static_cast<size_t>(trial->number) + 1));
    study.trials[static_cast<size_t>(trial->number)] = trial;
    return nullptr;
  }
  if (ask.contains("signed_rank")) return signed_rank_p(probe::numbers(ask.at("signed_rank")));
  const bool view = ask.contains("view");
  Trial trial = *study.trials.at(ask.at(view ? "view" : "prune").get<size_t>());
  if (view) {
    Json numbers = Json::array();
    for (const TrialPtr& other : pruner->sampler_view(study, trial).trials) {
      numbers.push_back(other->number);
    }
    return numbers;
  }
  const bool decision = pruner->prune(study, trial);
  Json attributes = Json::object();
  for (const auto& [key, value] : trial.system_attrs) attributes[key] = value;
  return {decision, attributes};
}

}  // namespace

int main() { return probe::serve(answer); }
