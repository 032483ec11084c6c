#include "hone/run/multi_token.h"

#include <torch/types.h>

#include <fstream>
#include <map>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/io/checkpoint.h"
#include "hone/run/run.h"
#include "run/recipe_fixture.h"
#include "support/catch.h"

namespace hone::run {
namespace {

using Catch::Contains;

struct Runs : test::RecipeFolder {
  /// A model from nothing with one such layer, numbered 2.
  Config config_of_run(const Json& changes) const {
    Json json = {{"architecture", test::expert_architecture()},
                 {"data", {{"tokens_per_batch", 64}}},
                 {"multi_token", {{"train", true}}},
                 {"train", {{"steps", 6}, {"lr", 1e-3}, {"save_every", 3}, {"log_every", 2}}}};
    json["architecture"]["num_nextn_predict_layers"] = 1;
    json.merge_patch(changes);
    return json.contains("model") ? config_of(json["model"], json) : config(json);
  }
  Report run(const Json& changes, const std::string& out, bool resume = false) const {
    return execute(config_of_run(changes),
                   {.app = "hone-domain", .out = file(out), .resume = resume});
  }
  std::map<std::string, at::Tensor> model_of(const std::string& out) const {
    std::map<std::string, at::Tensor> tensors;
    const io::Checkpoint checkpoint = io::Checkpoint::open(file(out) + "/model");
    for (const std::string& name : checkpoint.names()) tensors[name] = checkpoint.load(name);
    return tensors;
  }
  void check_same(const std::string& one, const std::string& two) const {
    const auto first = model_of(one), second = model_of(two);
    REQUIRE(first.size() == second.size());
    for (const auto& [name, tensor] : first) {
      INFO(name);
      CHECK(at::equal(tensor, second.at(name)));
    }
  }
  std::vector<Json> steps(const std::string& out) const {
    std::vector<Json> rows;
    std::ifstream metrics(file(out) + "/metrics.jsonl");
    for (std::string line; std::getline(metrics, line);) {
      Json row = Json::parse(line);
      if (row.contains("loss")) rows.push_back(std::move(row));
    }
    return rows;
  }
};

TEST_CASE("Layers for multi-token prediction train beside the model, and go on if interrupted") {
  const Runs runs;
  std::string log;
  set_log_sink([&](LogLevel, std::string_view text) { log += text; });
  const Report whole = runs.run(Json::object(), "whole");
  set_log_sink({});
  CHECK_THAT(log, Contains("  multi_token "));
  const std::vector<Json> rows = runs.steps("whole");
  REQUIRE(rows.size() == 6);
  const auto loss = [&](size_t row) {
    return rows[row].at("losses").at("multi_token").get<double>();
  };
  const double mean = (loss(4) + loss(5)) / 2;
  CHECK(whole.json.at("multi_token").at("loss").get<double>() == Approx(mean));
  CHECK(whole.json.at("multi_token").at("weight") == 0.3);
  CHECK(rows[0].at("expert_load").contains("2"));

  std::filesystem::copy(runs.file("whole"), runs.file("part"),
                        std::filesystem::copy_options::recursive);
  for (const char* left : {"/model", "/report.json", "/checkpoints/checkpoint-6"}) {
    std::filesystem::remove_all(runs.file("part") + left);
  }
  const Report part = runs.run(Json::object(), "part", /*resume=*/true);
  runs.check_same("whole", "part");
  CHECK(part.json.at("multi_token") == whole.json.at("multi_token"));

  runs.run({{"memory", {{"checkpoint_every", 1}}}}, "again");
  runs.check_same("whole", "again");
  runs.run({{"multi_token", {{"weight", 3}}}}, "more");
  const std::string name = "model.layers.2.eh_proj.weight", main = "model.layers.1.mlp.gate.weight";
  const auto more = runs.model_of("more"), one = runs.model_of("whole");
  CHECK_FALSE(at::equal(more.at(name), one.at(name)));
  CHECK_FALSE(at::equal(more.at(main), one.at(main)));
  CHECK(runs.steps("more")[0].at("loss") == rows[0].at("loss"));
}

TEST_CASE("A model with such layers is trained on with them, or keeps them to the bit") {
  const Runs runs;
  runs.run({{"train", {{"steps", 1}}}}, "base");
  const auto base = runs.model_of("base");
  const Json from = {{"model", runs.file("base/model")}, {"train", {{"steps", 2}}}};
  Json kept = from;
  kept["multi_token"] = nullptr;
  runs.run(from, "trained");
  const Report report = runs.run(kept, "kept");
  CHECK_FALSE(report.json.contains("multi_token"));
  CHECK_FALSE(runs.steps("kept")[0].contains("losses"));
  const auto trained = runs.model_of("trained");
  for (const auto& [name, tensor] : runs.model_of("kept")) {
    const bool extra = name.starts_with("model.layers.2.");
    const bool buffer = name.ends_with("e_score_correction_bias");
    INFO(name);
    CHECK(at::equal(tensor, base.at(name)) == (extra || buffer));
    CHECK(at::equal(trained.at(name), base.at(name)) == buffer);
  }
  CHECK(at::equal(trained.at("model.layers.2.embed_tokens.weight"),
                  trained.at("model.embed_tokens.weight")));
}

TEST_CASE("What cannot be trained for multi-token prediction is refused") {
  const Runs runs;
  const auto refused = [&](const Json& changes, const std::string& why) {
    CHECK_THROWS_WITH(runs.config_of_run(changes), Contains(why));
  };
  refused(Json{{"multi_token", nullptr}},
          "/architecture/num_nextn_predict_layers: makes layers that nothing would train");
  refused(Json{{"architecture", {{"num_nextn_predict_layers", nullptr}}}},
          "/multi_token/train: needs architecture.num_nextn_predict_layers");
  refused(Json{{"multi_token", {{"train", nullptr}, {"weight", 0.1}}},
               {"architecture", {{"num_nextn_predict_layers", nullptr}}}},
          "/multi_token/weight: has no effect without train");
  refused(Json{{"architecture", {{"model_type", "deepseek_v2"}}}},
          "num_nextn_predict_layers: has no effect with model_type deepseek_v2");
  const std::string model = runs.model("base");
  CHECK_THROWS_WITH(runs.config_of(model, {{"tuning", "lora"}, {"multi_token", {{"train", true}}}}),
                    Contains("/multi_token/train: only with tuning full"));
  CHECK_THROWS_WITH(execute(runs.config_of(model, {{"multi_token", {{"train", true}}}}),
                            {.app = "hone-domain", .out = runs.file("none")}),
                    Contains("the model has no layers for multi-token prediction to train: llama"));
}

}  // namespace
}  // namespace hone::run
