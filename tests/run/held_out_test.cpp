#include "hone/run/held_out.h"

#include <filesystem>
#include <fstream>

#include "hone/config/reader.h"
#include "hone/model/checkpoint.h"
#include "hone/run/architecture.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace hone::run {
namespace {

using Catch::Contains;

struct Files : TemporaryFolder {
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path + "/" + name) << content;
    return path + "/" + name;
  }
};

std::string problems(const std::vector<data::DatasetOptions>& train,
                     const std::vector<data::DatasetOptions>& held_out) {
  std::vector<Problem> found;
  check_held_out(train, held_out, "data", found);
  return found.empty() ? "" : ConfigError(std::move(found)).what();
}

TEST_CASE("a file cannot be trained on and held out, by whatever name") {
  const Files files;
  const std::string rows = files.write("rows.jsonl", "{\"text\": \"a\"}\n");
  const std::string copy = files.write("copy.jsonl", "{\"text\": \"a\"}\n");
  const std::string other = files.write("other.jsonl", "{\"text\": \"b\"}\n");
  std::filesystem::create_symlink(rows, files.path + "/link.jsonl");
  CHECK(problems({{.files = {rows}}}, {{.files = {other}}}).empty());
  const std::string none = files.write("none", ""), nothing = files.write("nothing", "");
  CHECK(problems({{.files = {none}}}, {{.files = {nothing}}}).empty());
  CHECK(problems({{.files = {rows}}}, {{.files = {rows}}}) ==
        "/data/held_out/0/files: " + rows +
            " is trained on as data set \"rows\": its score would "
            "say nothing; split the file and hold one part out");
  CHECK_THAT(problems({{.files = {rows}}}, {{.files = {other, files.path + "/./link.jsonl"}}}),
             Contains("link.jsonl is trained on"));
  CHECK_THAT(problems({{.files = {rows}}}, {{.files = {copy}}}),
             Contains("copy.jsonl has the content of " + rows + ", which is trained on"));
}

TEST_CASE("entries of one dataset_info.json are told apart by their own files") {
  const Files files;
  files.write("a.jsonl", "{\"instruction\": \"q\", \"output\": \"a\"}\n");
  files.write("b.jsonl", "{\"instruction\": \"q\", \"output\": \"b\"}\n");
  const std::string info =
      files.write("dataset_info.json",
                  R"({"a": {"file_name": "a.jsonl"}, "b": {"file_name": "b.jsonl"},
          "c": {"file_name": "a.jsonl"}})");
  const auto entry = [&](const char* name) {
    return data::DatasetOptions{
        .files = {info}, .format = data::Format::kLlamaFactory, .dataset_info = name};
  };
  CHECK(problems({entry("a")}, {entry("b")}).empty());
  CHECK_THAT(problems({entry("a")}, {entry("c")}), Contains("a.jsonl is trained on"));
}

TEST_CASE("documents beyond the model's positions need a key of their own") {
  const Files files;
  const std::string rows = files.write("rows.jsonl", "{\"text\": \"a\"}\n");
  const std::string held = files.write("held.jsonl", "{\"text\": \"b\"}\n");
  const auto check = [&](const std::string& keys, const std::string& set) {
    const std::string json =
        R"({"about": "x", "architecture": {"max_position_embeddings": 64}, "data": {"train": [
            {"files": [")" +
        rows + "\"]" + set + "}], \"held_out\": [{\"files\": [\"" + held + "\"]}]" + keys + "}}";
    const auto config = config::read_config<Config>(parse_json(json, "recipe"));
    CHECK(position_limit(config) == 64);
    try {
      check_files(config);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(check("", "").empty());
  CHECK(check("", ", \"max_length\": 64").empty());
  CHECK(check("", ", \"max_length\": 65") ==
        "/data/train/0/max_length: 65 is over the model's 64 positions; lower it, or set "
        "data.beyond_positions for a model that was made for more");
  CHECK_THAT(check(", \"eval_length\": 100", ""), Contains("/data/eval_length: 100 is over"));
  const std::string allowed = R"(, "beyond_positions": true, "eval_length": 100)";
  CHECK(check(allowed, R"(, "max_length": 100)").empty());
}

TEST_CASE("batches of which nothing counts are passed over, but not for ever") {
  const auto set = [](const char* name, int32_t domain) {
    data::Dataset made;
    made.name = name;
    made.examples.push_back({{1, 2, 3}, {2, 3, data::kIgnoreIndex}, {1, 1, 0}, domain});
    made.counts.tokens = 3;
    return std::make_shared<const data::Dataset>(std::move(made));
  };
  const auto config =
      model::DecoderConfig::from_json(architecture_config({.hidden_size = 16,
                                                           .intermediate_size = 16,
                                                           .num_hidden_layers = 1,
                                                           .num_attention_heads = 1},
                                                          64, 0, 1),
                                      "test");
  auto decoder = model::make_decoder(config, at::kCPU, at::kFloat);
  decoder->initialise(1);
  DecoderStep step(decoder, {1, 0});
  data::Loader loader({set("a", 0), set("b", 1)}, {.tokens_per_batch = 3, .seed = 5});
  for (int i = 0; i < 50; ++i) CHECK(next_counting(loader, step).domains[0] == 0);
  step.set_weights({0, 1});
  CHECK(step.weights() == std::vector<double>{0, 1});
  CHECK(next_counting(loader, step).domains[0] == 1);
  step.set_weights({0, 0});
  CHECK_THROWS_WITH(next_counting(loader, step), Contains("no target of a weight above 0"));
}

}  // namespace
}  // namespace hone::run
