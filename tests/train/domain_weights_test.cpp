#include "hone/train/controllers/domain_weights.h"

#include <cmath>

#include "controller_fixture.h"

using namespace hone;
using namespace hone::train;

namespace {

std::vector<Event> losses(int64_t steps, double law, double code) {
  std::vector<Event> events;
  for (int64_t step = 1; step <= steps; ++step) {
    events.push_back({false, step, {{"train/law", law}, {"train/code", code}}});
  }
  return events;
}

Desk desk_of(const std::string& knob, const Json& weights) { return Desk({{knob, weights}}); }

double weight(const Desk& desk, const std::string& name) {
  return desk.knobs.at("domain_weights").at(name);
}

const Json kWeights = {{"law", 2.0}, {"code", 1.0}};

}  // namespace

TEST_CASE("DoReMi raises the domain with the larger excess by its formula") {
  const DomainWeightsOptions options{
      .reference = {{"law", 2.5}, {"code", 2.0}}, .every = 1, .rate = 1, .smoothing = 0.1};
  // Excess: law max(2 - 2.5, 0) = 0, code 3 - 2 = 1.
  const Desk one = check_controller(maker<DomainWeights>(options), losses(1, 2, 3),
                                    desk_of("domain_weights", kWeights));
  const double e = std::exp(1.0);
  CHECK(weight(one, "law") == Approx(2 * (0.9 * 2 / (1 + e) + 0.1)));
  CHECK(weight(one, "code") == Approx(0.9 * 2 * e / (1 + e) + 0.1));
  CHECK(one.lines[0].rule == "doremi: excess losses code 1, law 0");
  const Desk two = check_controller(maker<DomainWeights>(options), losses(2, 2, 3),
                                    desk_of("domain_weights", kWeights));
  const double law = 0.9 * 2 / (1 + e) + 0.1, code = 2 - law;
  const double next = 0.9 * 2 * law / (law + code * e) + 0.1;
  CHECK(weight(two, "law") == Approx(2 * next));
}

TEST_CASE("Without a given reference the domain that gained least rises") {
  const DomainWeightsOptions options{.every = 1, .rate = 1, .smoothing = 0};
  auto events = losses(1, 3, 3);
  events.push_back({false, 2, {{"train/law", 2}, {"train/code", 2.9}}});
  const Desk desk =
      check_controller(maker<DomainWeights>(options), events, desk_of("domain_weights", kWeights));
  CHECK(desk.lines.size() == 1);  // the first update finds no excess
  CHECK(weight(desk, "code") == Approx(2 / (1 + std::exp(-0.9))));
}

TEST_CASE("Group DRO goes by the losses, at its steps, and no weight leaves its bounds") {
  const DomainWeightsOptions options{.method = DomainMethod::kGroupDro,
                                     .every = 10,
                                     .rate = 1,
                                     .smoothing = 0,
                                     .min_factor = 0.5,
                                     .max_factor = 1.6};
  const Desk desk = check_controller(maker<DomainWeights>(options), losses(45, 1, 4),
                                     desk_of("domain_weights", kWeights));
  CHECK(desk.lines[0].step == 10);
  CHECK(desk.lines[0].rule == "group_dro: losses code 4, law 1");
  CHECK(weight(desk, "law") == 2 * 0.5);
  CHECK(weight(desk, "code") == 1.6);
}

TEST_CASE("Held-out perplexity can drive the mix, by the domains of its sets") {
  DomainWeightsOptions options{.method = DomainMethod::kValidation, .rate = 1, .smoothing = 0};
  options.knob = DomainKnob::kMixWeights;
  const auto make = [&] {
    return std::make_unique<DomainWeights>(
        options, std::map<std::string, std::string>{{"a", "law"}, {"b", "law"}, {"c", "code"}});
  };
  const double e = std::exp(1.0);
  const Desk desk =
      check_controller(make,
                       {{true, 0, {{"validation/law", 20}, {"validation/code", 5}}},
                        {false, 5, {{"train/law", 1}}},
                        {true, 10, {{"validation/law", 20 * e}, {"validation/code", 5}}}},
                       desk_of("mix_weights", {{"a", 1.0}, {"b", 4.0}, {"c", 1.0}}));
  REQUIRE(desk.lines.size() == 1);
  const Json& weights = desk.knobs.at("mix_weights");
  CHECK(weights.at("b").get<double>() == Approx(4 * 2 * e / (1 + e)));
  CHECK(weights.at("a").get<double>() == Approx(2 * e / (1 + e)));
  CHECK(weights.at("c").get<double>() == Approx(2 / (1 + e)));
}

TEST_CASE("A domain that is measured late, or not, keeps its weight until then") {
  const DomainWeightsOptions options{.method = DomainMethod::kGroupDro, .every = 1, .smoothing = 0};
  Json weights = kWeights;
  weights["rare"] = 3.0;
  std::vector<Event> events = {{false, 1, {{"train/law", 1}}},
                               {false, 2, {{"train/code", 2}}},
                               {false, 3, {{"train/rare", std::nan("")}}},
                               {false, 4, {{"train/rare", 9}}}};
  const Desk desk =
      check_controller(maker<DomainWeights>(options), events, desk_of("domain_weights", weights));
  REQUIRE(desk.lines.size() == 3);  // none at step 1: one domain alone
  CHECK(desk.lines[1].value.at("rare") == 3.0);
  CHECK(desk.lines[2].value.at("rare").get<double>() > 3.5);
}

TEST_CASE("Domain weights that cannot be are refused before training") {
  const DomainWeightsOptions options{.reference = {{"lw", 2.5}}};
  CHECK_THROWS_WITH(drive(maker<DomainWeights>(options), {}, desk_of("domain_weights", kWeights)),
                    Catch::Contains("\"lw\", no domain of the training data; did you mean law?"));
  CHECK_THROWS_WITH(drive(maker<DomainWeights>(DomainWeightsOptions{}), {},
                          desk_of("domain_weights", {{"law", 1.0}})),
                    Catch::Contains("at least two domains"));
  DomainWeightsOptions mix;
  mix.knob = DomainKnob::kMixWeights;
  CHECK_THROWS_WITH(drive(maker<DomainWeights>(mix), {}, desk_of("mix_weights", {{"a", 1.0}})),
                    Catch::Contains("the data set a has no known domain"));
  DomainWeightsOptions dro{.method = DomainMethod::kGroupDro};
  REQUIRE(problems_of(dro).size() == 1);
  CHECK(problems_of(dro)[0].path == "/reference");
}
