// Drives a storage from Python: storage_probe <url> <patience> reads commands, one JSON object a
// line, and answers each with one line: {"ok": ...} or {"error": what, "kind": class}. Numbers that
// JSON lacks are the strings "nan", "inf", "-inf".
#include <cmath>
#include <iostream>

#include "hone/core/json.h"
#include "hone/core/log.h"
#include "hone/tune/storage/storage.h"

namespace hone::tune {
namespace {

Json number_json(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

double number(const Json& json) {
  return json.is_string() ? std::stod(json.get<std::string>()) : json.get<double>();
}

std::vector<double> numbers(const Json& json) {
  std::vector<double> values;
  for (const Json& value : json) values.push_back(number(value));
  return values;
}

Json attributes_json(const Attributes& attrs) {
  Json json = Json::object();
  for (const auto& [key, value] : attrs) json[key] = value;
  return json;
}

Attributes attributes(const Json& json) {
  Attributes attrs;
  for (const auto& [key, value] : json.items()) attrs[key] = value;
  return attrs;
}

std::vector<Param> params(const Json& json) {
  std::vector<Param> params;
  for (const Json& p : json) {
    params.push_back(
        {p.at("name"), number(p.at("value")), parse_distribution(p.at("distribution").dump())});
  }
  return params;
}

Json trial_json(const Trial& trial) {
  Json params = Json::array(), values = Json::array(), intermediate = Json::object();
  for (const Param& p : trial.params) {
    params.push_back({{"name", p.name},
                      {"value", p.value},
                      {"external", external_value(p.distribution, p.value)},
                      {"distribution", Json::parse(distribution_text(p.distribution))}});
  }
  for (const double value : trial.values) values.push_back(number_json(value));
  for (const auto& [step, value] : trial.intermediate) {
    intermediate[std::to_string(step)] = number_json(value);
  }
  return {{"id", trial.id},
          {"number", trial.number},
          {"state", enum_name(trial.state)},
          {"values", values},
          {"params", params},
          {"intermediate", intermediate},
          {"user_attrs", attributes_json(trial.user_attrs)},
          {"system_attrs", attributes_json(trial.system_attrs)},
          {"start", trial.start ? Json(*trial.start) : Json()},
          {"complete", trial.complete ? Json(*trial.complete) : Json()}};
}

Trial trial_of(const Json& json) {
  Trial trial;
  trial.state = *enum_from_name<TrialState>(json.at("state").get<std::string>());
  trial.values = numbers(json.value("values", Json::array()));
  trial.params = params(json.value("params", Json::array()));
  const Json reports = json.value("intermediate", Json::object());
  for (const auto& [step, value] : reports.items()) {
    trial.intermediate[std::stoll(step)] = number(value);
  }
  trial.user_attrs = attributes(json.value("user_attrs", Json::object()));
  trial.system_attrs = attributes(json.value("system_attrs", Json::object()));
  if (json.contains("start")) trial.start = json.at("start");
  if (json.contains("complete")) trial.complete = json.at("complete");
  return trial;
}

Json study_json(const Study& study) {
  Json directions = Json::array();
  for (const Direction d : study.directions) directions.push_back(enum_name(d));
  return {{"id", study.id},
          {"name", study.name},
          {"directions", directions},
          {"user_attrs", attributes_json(study.user_attrs)},
          {"system_attrs", attributes_json(study.system_attrs)}};
}

RetryOptions retry_options(const Json& command) {
  RetryOptions options{.grace_seconds = command.value("grace", 60.0)};
  if (command.contains("max_retries")) options.max_retries = command.at("max_retries");
  return options;
}

/// Claims until nothing waits; the numbers.
Json claim_all(Storage& storage, int64_t study) {
  Json claimed = Json::array();
  while (const auto trial = storage.claim_waiting(study)) claimed.push_back(trial->number);
  return claimed;
}

/// One trial as a worker has it, with a line after each write that was acknowledged.
void work(Storage& storage, int64_t study) {
  const auto say = [](const std::string& what, int64_t number) {
    std::cout << what << ' ' << number << std::endl;
  };
  std::optional<Trial> trial = storage.claim_waiting(study);
  if (!trial) trial = storage.create_trial(study);
  say("begun", trial->number);
  const double x = static_cast<double>(trial->number % 10);
  storage.set_params(trial->id, {{"x", x, FloatDistribution{0, 10}},
                                 {"c", 1, CategoricalDistribution{{"a", "b"}}}});
  for (int64_t step = 0; step < 3; ++step) storage.report(trial->id, step, x / (step + 1.0));
  storage.set_trial_attrs(trial->id, {{"number", trial->number}});
  storage.finish(trial->id, TrialState::kComplete, {x});
  say("ended", trial->number);
}

/// Trials as a search writes them: three parameters, five reports, an end.
void bench(Storage& storage, int64_t study, int64_t trials) {
  for (int64_t i = 0; i < trials; ++i) {
    const int64_t id = storage.create_trial(study).id;
    storage.set_params(id, {{"x", 0.5, FloatDistribution{0, 1}},
                            {"lr", 1e-3, FloatDistribution{1e-5, 1e-1, true}},
                            {"n", 4, IntDistribution{1, 8}}});
    for (int64_t step = 0; step < 5; ++step) storage.report(id, step, 0.5);
    storage.finish(id, TrialState::kComplete, {0.5});
  }
}

Json answer(Storage& storage, const Json& c) {
  const std::string what = c.at("do");
  const auto study = [&] { return c.at("study").get<int64_t>(); };
  const auto trial = [&] { return c.at("trial").get<int64_t>(); };
  const bool system = c.value("system", false);
  if (what == "create_study") {
    std::vector<Direction> directions;
    for (const Json& d : c.at("directions")) {
      directions.push_back(*enum_from_name<Direction>(d.get<std::string>()));
    }
    return study_json(storage.create_study(c.at("name"), directions));
  }
  if (what == "find_study") {
    const auto found = storage.find_study(c.at("name"));
    return found ? study_json(*found) : Json();
  }
  if (what == "studies") {
    Json all = Json::array();
    for (const Study& s : storage.studies()) all.push_back(study_json(s));
    return all;
  }
  if (what == "delete_study") return storage.delete_study(study()), Json();
  if (what == "set_study_attr") {
    return storage.set_study_attr(study(), c.at("key"), c.at("value"), system), Json();
  }
  if (what == "trials") {
    Json all = Json::array();
    for (const TrialPtr& t : storage.trials(study())) all.push_back(trial_json(*t));
    return all;
  }
  if (what == "count_trials") return storage.trials(study()).size();
  if (what == "trial") return trial_json(storage.trial(trial()));
  if (what == "create_trial") {
    if (!c.contains("copy")) return trial_json(storage.create_trial(study()));
    const Trial copy = trial_of(c.at("copy"));
    return trial_json(storage.create_trial(study(), &copy));
  }
  if (what == "claim_waiting") {
    const auto claimed = storage.claim_waiting(study());
    return claimed ? trial_json(*claimed) : Json();
  }
  if (what == "set_params") return storage.set_params(trial(), params(c.at("params"))), Json();
  if (what == "report") {
    return storage.report(trial(), c.at("step"), number(c.at("value"))), Json();
  }
  if (what == "set_trial_attrs") {
    return storage.set_trial_attrs(trial(), attributes(c.at("attrs")), system), Json();
  }
  if (what == "finish") {
    const auto state = *enum_from_name<TrialState>(c.at("state").get<std::string>());
    return enum_name(storage.finish(trial(), state, numbers(c.value("values", Json::array()))));
  }
  if (what == "heartbeat") return storage.heartbeat(trial());
  if (what == "fail_stale") {
    Json all = Json::array();
    for (const Trial& t : storage.fail_stale(study(), retry_options(c))) {
      all.push_back(trial_json(t));
    }
    return all;
  }
  if (what == "fail_and_retry") {
    return storage.fail_and_retry(trial(), retry_options(c)), Json();
  }
  if (what == "bench") return bench(storage, study(), c.at("trials")), Json();
  if (what == "claim_all") return claim_all(storage, study());
  if (what == "work") {
    for (int64_t i = 0; i < c.at("trials").get<int64_t>(); ++i) work(storage, study());
    return Json();
  }
  throw Error("no command " + what);
}

const char* kind_of(const std::exception& error) {
  if (dynamic_cast<const TrialFinished*>(&error)) return "TrialFinished";
  if (dynamic_cast<const IoError*>(&error)) return "IoError";
  return dynamic_cast<const Error*>(&error) ? "Error" : "other";
}

template <class Body>
void reply(Body body) {
  Json json;
  try {
    json = {{"ok", body()}};
  } catch (const std::exception& error) {
    json = {{"error", error.what()}, {"kind", kind_of(error)}};
  }
  std::cout << json.dump(-1, ' ', true) << std::endl;
}

}  // namespace
}  // namespace hone::tune

int main(int argc, char** argv) {
  using namespace hone::tune;
  if (argc != 3) {
    std::cerr << "usage: storage_probe <url> <patience in seconds>\n";
    return 2;
  }
  hone::set_log_sink([](hone::LogLevel, std::string_view text) { std::cerr << text << '\n'; });
  std::unique_ptr<Storage> storage;
  reply([&] {
    storage = open_storage(argv[1], {.patience = std::stod(argv[2])});
    return hone::Json("open");
  });
  std::string line;
  while (storage && std::getline(std::cin, line)) {
    reply([&] { return answer(*storage, hone::Json::parse(line)); });
  }
}
