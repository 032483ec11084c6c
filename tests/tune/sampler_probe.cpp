// Lets Python drive hone's samplers trial by trial (tests/interop/tune_samplers.py).
//
//   {"op": "new", "sampler": NAME, "seed": N, "options": {...}, "directions": ["minimize"]}
//   {"op": "trial", "number": N, ...}  sets or replaces a trial of the study, written as probe.h
//   says
//   {"op": "relative", "number": N}             -> {"values": {name: internal}, "attrs": {...}}
//   {"op": "independent", "number": N, "name": NAME, "distribution": text} -> {"value": internal}
//       both for a running trial, which they add to the study if it is not there
//   {"op": "exhausted"}                                                    -> {"value": bool}
#include <functional>
#include <map>
#include <memory>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/tune/samplers/cma_es_sampler.h"
#include "hone/tune/samplers/gp_sampler.h"
#include "hone/tune/samplers/grid_sampler.h"
#include "hone/tune/samplers/quasi_random_sampler.h"
#include "hone/tune/samplers/random_sampler.h"
#include "hone/tune/samplers/sampler.h"
#include "hone/tune/samplers/tpe_sampler.h"
#include "probe.h"

namespace {

using namespace hone;
using namespace hone::tune;

/// One line a sampler.
using Make = std::function<std::unique_ptr<Sampler>(const Json& options, uint64_t seed)>;
const std::map<std::string, Make> kSamplers = {
    {"cma_es",
     [](const Json& options, uint64_t seed) {
       return make_cma_es_sampler(config::read_config<CmaEsOptions>(options), seed);
     }},
    {"gp",
     [](const Json& options, uint64_t seed) {
       return make_gp_sampler(config::read_config<GpOptions>(options), seed);
     }},
    {"grid",
     [](const Json& options, uint64_t seed) {
       Grid grid;
       for (const auto& [name, values] : options.items()) grid[name] = values;
       return make_grid_sampler(grid, seed);
     }},
    {"quasi_random", [](const Json&, uint64_t seed) { return make_quasi_random_sampler(seed); }},
    {"random", [](const Json&, uint64_t seed) { return make_random_sampler(seed); }},
    {"tpe",
     [](const Json& options, uint64_t seed) {
       return make_tpe_sampler(config::read_config<TpeOptions>(options), seed);
     }},
};

class Session {
 public:
  Json answer(const Json& request) {
    const std::string op = request.at("op");
    if (op == "new") return begin(request);
    if (op == "trial") return set_trial(request);
    if (op == "relative") return relative(running(request.at("number")));
    if (op == "independent") return independent(running(request.at("number")), request);
    if (op == "exhausted") return {{"value", sampler_->exhausted(study_)}};
    throw Error("there is no op " + op);
  }

 private:
  Json begin(const Json& request) {
    const auto found = kSamplers.find(request.at("sampler"));
    if (found == kSamplers.end())
      throw Error("there is no sampler " + request.at("sampler").dump());
    sampler_ = found->second(request.value("options", Json::object()), request.at("seed"));
    study_ = {.name = "probe"};
    for (const Json& name : request.at("directions")) {
      study_.directions.push_back(enum_from_name<Direction>(name.get<std::string>()).value());
    }
    return Json::object();
  }

  void store(Trial trial) {
    const size_t at = trial.number;
    if (at > study_.trials.size()) throw Error("trials must come in order");
    if (at == study_.trials.size()) study_.trials.emplace_back();
    study_.trials[at] = std::make_shared<const Trial>(std::move(trial));
  }

  Json set_trial(const Json& request) {
    store(probe::trial(request));
    return Json::object();
  }

  Trial running(int64_t at) {
    if (at == static_cast<int64_t>(study_.trials.size())) store({.id = at + 1, .number = at});
    return *study_.trials.at(at);
  }

  Json relative(Trial trial) {
    Json values = Json::object(), attrs = Json::object();
    for (const auto& [name, value] : sampler_->sample_relative(study_, trial)) {
      values[name] = probe::number(value);
    }
    for (const auto& [key, value] : trial.system_attrs) attrs[key] = value;
    store(std::move(trial));
    return {{"values", values}, {"attrs", attrs}};
  }

  Json independent(Trial trial, const Json& request) {
    const std::string name = request.at("name");
    const Distribution distribution =
        parse_distribution(request.at("distribution").get<std::string>());
    const double value = sampler_->sample_independent(study_, trial, name, distribution);
    store(std::move(trial));
    return {{"value", probe::number(value)}};
  }

  std::unique_ptr<Sampler> sampler_;
  StudyView study_;
};

}  // namespace

int main() {
  Session session;
  return probe::serve([&](const Json& request) -> Json {
    try {
      return session.answer(request);
    } catch (const Error& error) {
      return {{"error", error.what()}};
    }
  });
}
