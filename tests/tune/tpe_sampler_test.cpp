#include "hone/tune/samplers/tpe_sampler.h"

#include <cmath>
#include <limits>
#include <set>

#include "hone/core/error.h"
#include "hone/tune/samplers/detail/parzen_estimator.h"
#include "hone/tune/storage/detail/trial_table.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;
using detail::Observations;
using detail::ParzenEstimator;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const Distribution kUnit = FloatDistribution{0, 1};
const Distribution kSteps = IntDistribution{0, 4};
const Distribution kChoices = CategoricalDistribution{{"a", "b", "c"}};

/// A study whose trials draw x, k and c with a sampler and end as `value` says.
class Loop {
 public:
  Loop(const TpeOptions& options, uint64_t seed) : sampler_(make_tpe_sampler(options, seed)) {
    study_.directions = {Direction::kMinimize};
  }

  template <class Value>
  void run(int trials, Value value) {
    for (int i = 0; i < trials; ++i) {
      Trial trial = ask();
      trial.state = TrialState::kComplete;
      trial.values = {value(trial)};
      study_.trials.push_back(std::make_shared<const Trial>(std::move(trial)));
    }
  }

  Trial ask() {
    Trial trial{.number = static_cast<int64_t>(study_.trials.size())};
    const Suggestion joint = sampler_->sample_relative(study_, trial);
    num_joint_ = joint.size();
    for (const auto& [name, distribution] :
         {std::pair{"x", kUnit}, {"k", kSteps}, {"c", kChoices}}) {
      const double value = joint.contains(name)
                               ? joint.at(name)
                               : sampler_->sample_independent(study_, trial, name, distribution);
      REQUIRE(contains(distribution, value));
      trial.params.push_back({name, value, distribution});
    }
    return trial;
  }

  std::unique_ptr<Sampler> sampler_;
  StudyView study_;
  size_t num_joint_ = 0;
};

double bowl(const Trial& t) {
  return std::pow(t.param("x")->value - .7, 2) + std::abs(t.param("k")->value - 3) +
         (t.param("c")->value == 1 ? 0 : 1);
}

}  // namespace

TEST_CASE("Old trials weigh less") {
  CHECK(detail::recency_weights(0).empty());
  CHECK(detail::recency_weights(25) == std::vector<double>(25, 1.0));
  const auto one = detail::recency_weights(26);
  CHECK(one[0] == 1.0 / 26);
  CHECK(one[1] == 1);
  const auto weights = detail::recency_weights(50);
  CHECK(weights[0] == 0.02);
  CHECK(weights[24] == 1);
  CHECK(weights[12] == Approx(0.51));
}

TEST_CASE("Kernels are as wide as the gap to the farther neighbour, within limits") {
  const Observations three{kUnit, {.5, .1, .55}, {1, 0, 2}};
  const ParzenEstimator estimator({&three, 1}, {1, 1, 1}, 1, 1);
  const auto sigma = estimator.sigmas(0);
  REQUIRE(sigma.size() == 4);
  CHECK(sigma[0] == .4);
  CHECK(sigma[1] == .4);          // the least has only its right neighbour
  CHECK(sigma[2] == Approx(.2));  // .05, widened to range / (2 + 3)
  CHECK(sigma[3] == 1);           // the prior
  CHECK(estimator.mus(0)[3] == .5);
  CHECK(estimator.weights()[3] == .25);
  const Observations single{kUnit, {.2}, {0}};
  CHECK(ParzenEstimator({&single, 1}, {1}, 1, 1).sigmas(0)[0] == .8);
  const Observations high{FloatDistribution{1, 3}, {2.75}, {0}};
  CHECK(ParzenEstimator({&high, 1}, {1}, 1, 1).sigmas(0)[0] == 1.75);
}

TEST_CASE("Densities integrate to one") {
  const Observations real{kUnit, {.5, .1, .55}, {1, 0, 2}};
  const ParzenEstimator density({&real, 1}, {1, 1, .5}, 1, 1);
  double area = 0;
  for (int i = 0; i < 1000; ++i) area += std::exp(density.log_pdf({{(i + .5) / 1000}})[0]) / 1000;
  CHECK(area == Approx(1).epsilon(1e-5));
  for (const Observations& o :
       {Observations{kSteps, {1, 4, 4}, {0, 1, 2}}, Observations{kChoices, {0, 2, 2}, {}},
        Observations{kChoices, {}, {}}, Observations{kSteps, {}, {}},
        Observations{IntDistribution{1, 9, true}, {0, std::log(3.)}, {0, 1}}}) {
    const ParzenEstimator mass({&o, 1}, std::vector<double>(o.values.size(), 1), 1, 1);
    double sum = 0;
    for (int i = 0; i < 10; ++i) {
      if (contains(o.distribution, i)) sum += std::exp(mass.log_pdf({{double(i)}})[0]);
    }
    CHECK(sum == Approx(1));
  }
}

TEST_CASE("The choices' prior has a weight of its own") {
  const Observations o{kChoices, {0}, {}};
  const auto other = [&](double weight) {
    return std::exp(ParzenEstimator({&o, 1}, {1}, 0, weight).log_pdf({{2.0}})[0]);
  };
  CHECK(other(1) == Approx(0.5 / 2.5));
  CHECK(other(3) == Approx(1.5 / 5.5));
}

TEST_CASE("Draws follow the density") {
  const Observations o[] = {{kChoices, {0, 2, 2}, {}}, {kSteps, {1, 4, 4}, {0, 1, 2}}};
  const ParzenEstimator density(o, {1, 1, 1}, 1, 1);
  detail::RandomState random(1);
  const auto points = density.sample(random, 20000);
  for (double c = 0; c < 3; ++c) {
    for (double k = 0; k < 5; ++k) {
      const double share = std::count(points.begin(), points.end(), std::vector{c, k}) / 20000.0;
      CHECK(share == Approx(std::exp(density.log_pdf({{c, k}})[0])).margin(0.015));
    }
  }
}

TEST_CASE("TPE draws at random first, then jointly, and finds the best of a bowl") {
  Loop loop({}, 0);
  loop.run(10, bowl);
  CHECK(loop.num_joint_ == 0);
  loop.run(60, bowl);
  CHECK(loop.num_joint_ == 3);
  double best = kInfinity;
  for (const TrialPtr& trial : loop.study_.trials) best = std::min(best, trial->values[0]);
  CHECK(best < 0.01);
}

TEST_CASE("One seed gives one suggestion, whatever was asked before") {
  Loop loop({}, 0), other({}, 99);
  loop.run(20, bowl);
  other.study_ = loop.study_;
  loop.sampler_->reseed(7);
  other.sampler_->reseed(7);
  const Trial a = loop.ask(), b = other.ask();
  for (const char* name : {"x", "k", "c"}) CHECK(a.param(name)->value == b.param(name)->value);
  other.sampler_->reseed(8);
  CHECK(other.ask().param("x")->value != a.param("x")->value);
}

TEST_CASE("Equal, infinite and very few values do no harm") {
  for (const double value : {0.0, kInfinity, -kInfinity}) {
    Loop loop({.startup_trials = 1}, 3);
    loop.run(30, [&](const Trial& t) { return t.number % 3 == 0 ? 1.0 : value; });
  }
  Loop loop({.startup_trials = 0}, 3);
  loop.run(3, [](const Trial&) { return 1.0; });
}

TEST_CASE("A trial without its objective's value is named") {
  Loop loop({.startup_trials = 1}, 3);
  loop.study_.trials.push_back(
      std::make_shared<const Trial>(Trial{.number = 0, .state = TrialState::kComplete}));
  CHECK_THROWS_AS(loop.ask(), Error);
}

TEST_CASE("A running trial tells other workers what it has drawn") {
  Loop loop({}, 0);
  loop.run(20, bowl);
  const Trial trial = loop.ask();
  const Json stored =
      parse_json(trial.system_attrs.at("tpe:relative_params:0").get<std::string>(), "attribute");
  CHECK(stored.at("x") == trial.param("x")->value);
  CHECK(stored.at("c") == external_value(kChoices, trial.param("c")->value));
  CHECK(stored.at("k").is_number_integer());

  Trial long_trial;
  SearchSpace space;
  Suggestion values;
  for (int i = 0; i < 200; ++i) {
    space["parameter number " + std::to_string(i)] = kUnit;
    values["parameter number " + std::to_string(i)] = 1.0 / 3;
  }
  detail::store_relative("p", space, values, long_trial);
  CHECK(long_trial.system_attrs.at("p:0").get<std::string>().size() == 2045);
  StudyView study{.directions = {Direction::kMinimize}};
  Trial done{.number = 0, .state = TrialState::kComplete, .values = {1}};
  for (const auto& [name, distribution] : space) done.params.push_back({name, .5, distribution});
  long_trial.number = 1;
  study.trials = {std::make_shared<const Trial>(done), std::make_shared<const Trial>(long_trial)};
  detail::TrialTable table;
  table.update(study, "p", 2);
  CHECK(table.column("parameter number 199")->values.at(1) == 1.0 / 3);
  long_trial.system_attrs.at("p:1") = "{broken";
  study.trials[1] = std::make_shared<const Trial>(long_trial);
  table.update(study, "p", 2);
  CHECK_FALSE(table.column("parameter number 199")->has(1));
}

TEST_CASE("What must not be tried is passed over without another draw") {
  Loop free({}, 0), bound({}, 0);
  free.run(30, bowl);
  bound.run(30, bowl);
  bound.sampler_->may_try = [](const Suggestion& s) { return s.at("c") != 1; };
  for (int i = 0; i < 5; ++i) CHECK(bound.ask().param("c")->value != 1);
  bound.sampler_->may_try = [](const Suggestion&) { return false; };
  for (int i = 0; i < 5; ++i) free.ask();
  CHECK(free.ask().param("x")->value == bound.ask().param("x")->value);
}

TEST_CASE("Another view of a study is read anew") {
  Loop loop({}, 0), fresh({}, 0);
  loop.run(40, bowl);
  std::erase_if(loop.study_.trials, [](const TrialPtr& t) { return t->number % 2 == 0; });
  fresh.study_ = loop.study_;
  loop.sampler_->reseed(5);
  fresh.sampler_->reseed(5);
  CHECK(loop.ask().param("x")->value == fresh.ask().param("x")->value);
}

TEST_CASE("Options that contradict each other are refused") {
  CHECK_THROWS_WITH(make_tpe_sampler({.multivariate = false, .group = true}, 0),
                    Catch::Contains("group draws jointly"));
}
