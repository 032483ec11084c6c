// Another project's search over hone's studies: 30 trials of TPE on a function of its own.
#include <hone/tune/pareto.h>
#include <hone/tune/samplers/tpe_sampler.h>
#include <hone/tune/search.h>

#include <cmath>
#include <cstdio>

int main(int, char** argv) {
  using namespace hone::tune;
  const auto storage = open_storage(argv[1]);
  const Study study = storage->create_study("mine", {Direction::kMinimize});
  const Space space({{"x", {.low = -5, .high = 5}}, {"lr", {.low = 1e-5, .high = 1, .log = true}}},
                    "");
  const auto sampler = make_tpe_sampler({}, 0);
  Search search(*storage, study, space, *sampler, nullptr, {}, {.worker = "me"});
  search.enqueue(30);
  while (const auto trial = search.ask()) {
    const double x = trial->param("x")->value, lr = trial->param("lr")->value;
    search.tell(*trial, TrialState::kComplete, {(x - 1) * (x - 1) + std::abs(std::log10(lr) + 3)});
  }
  const double best = best_trial(search.view())->values[0];
  std::printf("best of 30 trials: %.3f\n", best);
  return best < 2 ? 0 : 1;
}
