// Times TPE's suggestions; scripts/bench/sampler_cost runs it beside Optuna.
//
//   bench_sampler_cost <trials> <parameters> <suggestions>
//
// Prints the median milliseconds of one ask and tell in a study in memory of so many random trials
// over [0, 1]^parameters, after one that reads the history.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>

#include "hone/tune/samplers/random_sampler.h"
#include "hone/tune/samplers/tpe_sampler.h"

using namespace hone::tune;

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: bench_sampler_cost <trials> <parameters> <suggestions>\n";
    return 2;
  }
  const int trials = std::stoi(argv[1]), parameters = std::stoi(argv[2]);
  const int suggestions = std::stoi(argv[3]);
  const Distribution unit = FloatDistribution{0, 1};
  StudyView study{"bench", {Direction::kMinimize}, {}};
  const auto random = make_random_sampler(0);
  const auto tpe = make_tpe_sampler({}, 0);
  const auto one = [&](Sampler& sampler) {
    const auto number = static_cast<int64_t>(study.trials.size());
    Trial trial{.id = number, .number = number};
    const Suggestion joint = sampler.sample_relative(study, trial);
    double sum = 0;
    for (int i = 0; i < parameters; ++i) {
      const std::string name = "x" + std::to_string(i);
      const auto found = joint.find(name);
      const double x = found != joint.end() ? found->second
                                            : sampler.sample_independent(study, trial, name, unit);
      trial.params.push_back({name, x, unit});
      sum += (x - 0.3) * (x - 0.3);
    }
    trial.state = TrialState::kComplete;
    trial.values = {sum};
    study.trials.push_back(std::make_shared<const Trial>(std::move(trial)));
  };
  for (int i = 0; i < trials; ++i) one(*random);
  one(*tpe);
  std::vector<double> milliseconds;
  for (int i = 0; i < suggestions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    one(*tpe);
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::nth_element(milliseconds.begin(), milliseconds.begin() + suggestions / 2,
                   milliseconds.end());
  std::cout << milliseconds[suggestions / 2] << "\n";
}
