// Lets Python drive hone's samplers trial by trial (tests/interop/tune_samplers.py). Reads one JSON
// request a line and answers each with one line; numbers that JSON lacks travel as the strings
// "nan", "inf" and "-inf".
//
//   {"op": "new", "sampler": NAME, "seed": N, "options": {...}, "directions": ["minimize"]}
//   {"op": "trial", "number": N, "state": "complete", "values": [...], "params": [[name, internal
//    value, distribution text], ...], "intermediate": {"step": value}, "system_attrs": {...}}
//       sets or replaces a trial of the study
//   {"op": "relative", "number": N}             -> {"values": {name: internal}, "attrs": {...}}
//   {"op": "independent", "number": N, "name": NAME, "distribution": text} -> {"value": internal}
//       both for a running trial, which they add to the study if it is not there
//   {"op": "exhausted"}                                                    -> {"value": bool}
#include <cmath>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/tune/cma_es_sampler.h"
#include "hone/tune/gp_sampler.h"
#include "hone/tune/random_sampler.h"
#include "hone/tune/sampler.h"

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
    {"random", [](const Json&, uint64_t seed) { return make_random_sampler(seed); }},
};

double number(const Json& json) {
  return json.is_string() ? std::stod(json.get<std::string>()) : json.get<double>();
}

Json number_json(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

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
      study_.directions.push_back(name == "maximize" ? Direction::kMaximize : Direction::kMinimize);
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
    Trial trial;
    trial.number = trial.id = request.at("number");
    const std::string state = request.at("state");
    for (const auto& [value, name] : EnumNames<TrialState>::values) {
      if (name == state) trial.state = value;
    }
    for (const Json& value : request.value("values", Json::array())) {
      trial.values.push_back(number(value));
    }
    for (const Json& p : request.value("params", Json::array())) {
      trial.params.push_back(
          {p.at(0), number(p.at(1)), parse_distribution(p.at(2).get<std::string>())});
    }
    // items() refers to what it is called on, so that must outlive the loop.
    const Json intermediate = request.value("intermediate", Json::object());
    const Json attrs = request.value("system_attrs", Json::object());
    for (const auto& [step, value] : intermediate.items()) {
      trial.intermediate[std::stoll(step)] = number(value);
    }
    for (const auto& [key, value] : attrs.items()) {
      trial.system_attrs[key] = value;
    }
    store(std::move(trial));
    return Json::object();
  }

  Trial running(int64_t at) {
    if (at == static_cast<int64_t>(study_.trials.size())) store({.id = at, .number = at});
    return *study_.trials.at(at);
  }

  Json relative(Trial trial) {
    Json values = Json::object(), attrs = Json::object();
    for (const auto& [name, value] : sampler_->sample_relative(study_, trial)) {
      values[name] = number_json(value);
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
    return {{"value", number_json(value)}};
  }

  std::unique_ptr<Sampler> sampler_;
  StudyView study_;
};

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  Session session;
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      answer = session.answer(parse_json(line, "request"));
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << "\n" << std::flush;
  }
}
