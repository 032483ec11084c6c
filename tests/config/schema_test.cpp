#include "hone/config/schema.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "config/sample.h"
#include "hone/core/random.h"

namespace hone::config {
namespace {

using sample::Sample;

const Json kSchema = schema<Sample>("sample", "A sample.");

const Json& property(const std::string& name) { return kSchema.at("properties").at(name); }

TEST_CASE("a schema says what it is and lets itself be named") {
  CHECK(kSchema.at("$schema") == "https://json-schema.org/draft/2020-12/schema");
  CHECK(kSchema.at("title") == "sample");
  CHECK(kSchema.at("description") == "A sample.");
  CHECK(kSchema.at("additionalProperties") == false);
  CHECK(kSchema.at("required") == Json{"about"});
  CHECK(property("$schema").at("type") == "string");
}

TEST_CASE("each kind of field has its schema") {
  CHECK(property("steps").dump() ==
        R"({"description":"Steps.","type":"integer","minimum":0,"maximum":1000,"default":100})");
  CHECK(property("lr").dump() == R"({"description":"Learning | rate.","type":"number",)"
                                 R"("minimum":0,"maximum":10,"default":0.0001})");
  CHECK(property("verbose").dump() ==
        R"({"description":"Says more.","type":"boolean","default":false})");
  CHECK(property("about").dump() == R"({"description":"What it shows.","type":"string"})");
  CHECK(property("mode").dump() ==
        R"({"description":"Mode.","enum":["fast","safe"],"default":"safe"})");
  CHECK(property("fallback").dump() ==
        R"({"description":"Second mode.","enum":["fast","safe",null]})");
  CHECK(property("depth").dump() ==
        R"({"description":"Depth.","type":["integer","null"],"default":3})");
  CHECK(property("grid").dump() ==
        R"({"description":"Grid.","type":"array","items":{"type":"array",)"
        R"("items":{"type":"integer","minimum":-5,"maximum":5}},"default":[]})");
  CHECK(property("weights").dump() ==
        R"({"description":"Weights.","type":"object","additionalProperties":)"
        R"({"type":"number","minimum":0,"maximum":100},"default":{}})");
  CHECK(property("second").at("type") == Json{"object", "null"});
  CHECK(property("adapter").at("properties").at("rank").at("default") == 8);
  CHECK(property("adapter").at("additionalProperties") == false);
  CHECK(property("sources").at("items").at("required") == Json{"file"});
}

TEST_CASE("a struct with required keys is required itself") {
  CHECK(schema<sample::Holder>("h", "").at("required") == Json{"source"});
}

/// Whether `json` is of the schema's "type".
bool has_type(const std::string& type, const Json& json) {
  if (type == "null") return json.is_null();
  if (type == "boolean") return json.is_boolean();
  if (type == "string") return json.is_string();
  if (type == "array") return json.is_array();
  if (type == "object") return json.is_object();
  if (type == "number") return json.is_number();
  if (type == "integer") {
    return json.is_number() && std::trunc(json.get<double>()) == json.get<double>();
  }
  throw Error("no such type: " + type);
}

/// JSON Schema 2020-12's rules for the keywords that the config room writes.
bool fits(const Json& schema, const Json& json) {
  for (const auto& [keyword, rule] : schema.items()) {
    bool good = true;
    if (keyword == "type") {
      const Json types = rule.is_array() ? rule : Json::array({rule});
      good = std::any_of(types.begin(), types.end(),
                         [&](const Json& type) { return has_type(type, json); });
    } else if (keyword == "enum") {
      good = std::find(rule.begin(), rule.end(), json) != rule.end();
    } else if (keyword == "minimum") {
      good = !json.is_number() || json.get<double>() >= rule.get<double>();
    } else if (keyword == "maximum") {
      good = !json.is_number() || json.get<double>() <= rule.get<double>();
    } else if (keyword == "items" && json.is_array()) {
      good =
          std::all_of(json.begin(), json.end(), [&](const Json& item) { return fits(rule, item); });
    } else if (keyword == "required" && json.is_object()) {
      good = std::all_of(rule.begin(), rule.end(),
                         [&](const Json& key) { return json.contains(key.get<std::string>()); });
    } else if (keyword == "additionalProperties" && json.is_object()) {
      const Json known = schema.value("properties", Json::object());
      for (const auto& [key, value] : json.items()) {
        const bool listed = known.contains(key);
        good &= listed ? fits(known.at(key), value) : rule.is_object() && fits(rule, value);
      }
    }
    if (!good) return false;
  }
  return true;
}

/// A value that mostly follows a schema and sometimes does not.
Json random_value(const Json& schema, Random& random, int depth = 0) {
  static const std::vector<Json> kJunk = {nullptr,
                                          true,
                                          0,
                                          -7,
                                          1e4,
                                          2.5,
                                          3.0,
                                          "",
                                          "fast",
                                          Json::array(),
                                          Json::object(),
                                          Json{{"rank", 3}},
                                          Json::array({1, "x"}),
                                          "$schema"};
  if (random.below(40) == 0) return kJunk[random.below(kJunk.size())];
  if (schema.contains("enum")) return schema.at("enum")[random.below(schema.at("enum").size())];
  const Json types =
      schema.at("type").is_array() ? schema.at("type") : Json::array({schema.at("type")});
  const std::string type = types[random.below(types.size())];
  if (type == "null") return nullptr;
  if (type == "boolean") return random.below(2) == 0;
  if (type == "string") return std::string(random.below(3), 's');
  if (type == "integer" || type == "number") {
    const double low = schema.value("minimum", -100.0), high = schema.value("maximum", 100.0);
    const double value = low + (high - low) * random.uniform();
    return type == "number" ? Json(value) : Json(static_cast<int64_t>(value));
  }
  Json made = type == "array" ? Json::array() : Json::object();
  if (type == "array") {
    for (uint64_t n = random.below(3); n > 0; --n) {
      made.push_back(random_value(schema.at("items"), random, depth + 1));
    }
  } else if (schema.contains("properties")) {
    const Json required = schema.value("required", Json::array());
    for (const auto& [key, rule] : schema.at("properties").items()) {
      const bool must = std::find(required.begin(), required.end(), key) != required.end();
      if (random.below(must ? 30 : 3) != 0) made[key] = random_value(rule, random, depth + 1);
    }
    if (random.below(60) == 0) made["unknown"] = 1;
  } else {
    for (uint64_t n = random.below(3); n > 0; --n) {
      made["k" + std::to_string(n)] =
          random_value(schema.at("additionalProperties"), random, depth + 1);
    }
  }
  return made;
}

/// What read_config says that validate() did not.
std::vector<Problem> reader_problems(const Json& json) {
  std::vector<Problem> problems;
  try {
    read_config<Sample>(json);
  } catch (const ConfigError& error) {
    for (const Problem& problem : error.problems()) {
      const bool validated = problem.no_effect || problem.message == "must name a module" ||
                             problem.message == "must be above 0 to learn" ||
                             problem.message == "are more than sources";
      if (!validated) problems.push_back(problem);
    }
  }
  return problems;
}

TEST_CASE("a document fits the schema exactly when the reader finds its fields right") {
  Random random(20261124);
  int accepted = 0, refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Json json = random_value(kSchema, random);
    const std::vector<Problem> problems = reader_problems(json);
    INFO(json.dump(2));
    if (!problems.empty()) INFO(problems.front().path << ": " << problems.front().message);
    REQUIRE(fits(kSchema, json) == problems.empty());
    ++(problems.empty() ? accepted : refused);
  }
  CHECK(accepted > 2000);  // else the test would show little
  CHECK(refused > 2000);
}

TEST_CASE("what to_json writes fits the schema") { CHECK(fits(kSchema, to_json(Sample{}))); }

}  // namespace
}  // namespace hone::config
