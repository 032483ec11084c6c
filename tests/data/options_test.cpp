#include "hone/data/options.h"

#include <catch2/catch.hpp>

#include "hone/config/reader.h"

namespace hone::data {
namespace {

std::string problems(const std::string& json) {
  try {
    config::read_config<DatasetOptions>(parse_json(json, "recipe"));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a data set needs only files") {
  const auto options =
      config::read_config<DatasetOptions>(parse_json(R"({"files": ["a/b.jsonl"]})", "r"));
  CHECK(options.label() == "b");
  CHECK(options.domain == "general");
  CHECK(options.format == Format::kAuto);
}

TEST_CASE("labels come from the name, the entry or the first file") {
  CHECK(DatasetOptions{.name = "x", .files = {"a.txt"}}.label() == "x");
  CHECK(DatasetOptions{.files = {"i.json"}, .dataset_info = "law"}.label() == "law");
  CHECK(DatasetOptions{.files = {"d/law.jsonl", "b.txt"}}.label() == "law");
}

TEST_CASE("what is wrong with a data set is said by key") {
  CHECK(problems(R"({})").find("/files") != std::string::npos);
  CHECK(problems(R"({"files": []})").find("/files: must name at least one file") == 0);
  CHECK(problems(R"({"files": [""]})").find("must not hold an empty name") != std::string::npos);
  CHECK(problems(R"({"files": ["a"], "domain": ""})").find("/domain") == 0);
  CHECK(problems(R"({"files": ["a"], "weight": -1})").find("/weight") == 0);
  CHECK(problems(R"({"files": ["a"], "max_length": 1})").find("/max_length") == 0);
  CHECK(problems(R"({"files": ["a"], "format": "alpacca"})").find("alpaca") != std::string::npos);
}

TEST_CASE("keys without effect are refused") {
  CHECK(problems(R"({"files": ["a"], "format": "llama_factory"})").find("/dataset_info") == 0);
  CHECK(problems(R"({"files": ["a", "b"], "format": "llama_factory", "dataset_info": "x"})")
            .find("/files: must be the one dataset_info.json") == 0);
  CHECK(problems(R"({"files": ["a"], "dataset_info": "x"})")
            .find("/dataset_info: has no effect unless format is llama_factory") == 0);
  CHECK(problems(R"({"files": ["a"], "format": "messages", "text_unit": "line"})")
            .find("/text_unit: has no effect with format messages") == 0);
  CHECK(problems(R"({"files": ["a"], "format": "text", "train_on": "all"})").find("/train_on") ==
        0);
  CHECK(
      problems(R"({"files": ["a"], "format": "text", "chat_form": "plain"})").find("/chat_form") ==
      0);
  CHECK(problems(R"({"files": ["a"], "text_unit": "line", "train_on": "all"})").empty());
}

}  // namespace
}  // namespace hone::data
