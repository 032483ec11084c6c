#include "hone/run/index_training.h"

#include <torch/types.h>

#include <fstream>
#include <map>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/run/run.h"
#include "run/recipe_fixture.h"
#include "support/catch.h"

namespace hone::run {
namespace {

using Catch::Contains;

struct Runs : test::RecipeFolder {
  /// A folder with a small DeepSeek-V3.2, whose indexers choose three positions.
  Runs() {
    const Config recipe = config({{"architecture", test::expert_architecture()}});
    const RunTokenizer tokenizer = make_tokenizer(recipe);
    Json sizes = base_config(recipe, tokenizer.text);
    sizes.update({{"model_type", "deepseek_v32"},
                  {"q_lora_rank", 10},
                  {"index_n_heads", 5},
                  {"index_head_dim", 6},
                  {"index_topk", 3}});
    model::Decoder decoder =
        model::make_decoder(model::DecoderConfig::from_json(sizes, "test"), at::kCPU, at::kFloat);
    decoder->initialise(1);
    write_tokenizer(tokenizer, file("tokenizer"));
    model::save_decoder(file("base"), decoder, sizes, {.source_folder = file("tokenizer")});
  }

  Report run(const Json& changes, const std::string& out, bool resume = false) const {
    Json json = {{"data", {{"tokens_per_batch", 64}}},
                 {"train", {{"steps", 6}, {"lr", 1e-3}, {"save_every", 3}, {"log_every", 2}}}};
    json.merge_patch(changes);
    return execute(config_of(file("base"), json),
                   {.app = "hone-domain", .out = file(out), .resume = resume});
  }
  std::map<std::string, at::Tensor> tensors_of(const std::string& folder) const {
    std::map<std::string, at::Tensor> tensors;
    const io::Checkpoint checkpoint = io::Checkpoint::open(file(folder));
    for (const std::string& name : checkpoint.names()) tensors[name] = checkpoint.load(name);
    return tensors;
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

bool of_indexer(const std::string& name) { return name.find(".indexer.") != std::string::npos; }

TEST_CASE("A warm-up trains the indexers and nothing else; their loss falls and is shown") {
  const Runs runs;
  const Report report = runs.run(
      {{"indexer", {{"train", "warm_up"}}}, {"train", {{"steps", 40}, {"lr", 0.01}}}}, "warm");
  const auto before = runs.tensors_of("base"), after = runs.tensors_of("warm/model");
  REQUIRE(before.size() == after.size());
  for (const auto& [name, tensor] : before) {
    INFO(name);
    CHECK(at::equal(tensor, after.at(name)) != of_indexer(name));
  }
  const std::vector<Json> rows = runs.steps("warm");
  const auto loss = [&](size_t row) { return rows[row].at("losses").at("indexer").get<double>(); };
  CHECK(loss(39) < 0.8 * loss(0));
  CHECK(loss(0) == Approx((rows[0].at("indexer_loss").at("0").get<double>() +
                           rows[0].at("indexer_loss").at("1").get<double>()) /
                          2));
  CHECK(report.json.at("indexer").at("stage") == "warm_up");
  CHECK(report.json.at("indexer").at("loss").get<double>() == Approx((loss(38) + loss(39)) / 2));
}

TEST_CASE("The sparse stage trains all; interrupted or recomputed, it ends the same") {
  const Runs runs;
  const Json sparse = {{"indexer", {{"train", "sparse"}}}};
  const Report whole = runs.run(sparse, "whole");
  std::filesystem::copy(runs.file("whole"), runs.file("part"),
                        std::filesystem::copy_options::recursive);
  for (const char* left : {"/model", "/report.json", "/checkpoints/checkpoint-6"}) {
    std::filesystem::remove_all(runs.file("part") + left);
  }
  const Report part = runs.run(sparse, "part", /*resume=*/true);
  CHECK(part.json.at("indexer") == whole.json.at("indexer"));
  Json again = sparse;
  again["memory"]["checkpoint_every"] = 1;
  runs.run(again, "again");
  Json off = Json::object();
  runs.run(off, "off");
  const auto base = runs.tensors_of("base"), model = runs.tensors_of("whole/model");
  const auto without = runs.tensors_of("off/model");
  for (const char* other : {"part", "again"}) {
    const auto same = runs.tensors_of(std::string(other) + "/model");
    REQUIRE(same.size() == model.size());
    for (const auto& [name, tensor] : model) {
      INFO(other << " " << name);
      CHECK(at::equal(tensor, same.at(name)));
    }
  }
  for (const auto& [name, tensor] : without) {
    INFO(name);
    CHECK(at::equal(tensor, base.at(name)) ==
          (of_indexer(name) || name.ends_with("e_score_correction_bias")));
    if (of_indexer(name)) CHECK_FALSE(at::equal(tensor, model.at(name)));
  }
  CHECK_FALSE(runs.steps("off")[0].contains("losses"));
  CHECK(runs.steps("off")[0].at("loss") == runs.steps("whole")[0].at("loss"));
}

TEST_CASE("Indexers that cannot learn are refused") {
  const Runs runs;
  const auto refused = [&](const Json& changes, const std::string& why) {
    CHECK_THROWS_WITH(runs.config_of(runs.file("base"), changes), Contains(why));
  };
  const Json warm = {{"train", "warm_up"}};
  refused(Json{{"indexer", warm}, {"tuning", "lora"}}, "/indexer/train: only with tuning full");
  refused(Json{{"indexer", {{"weight", 2}}}}, "/indexer/weight: has no effect with train off");
  refused(Json{{"indexer", warm}, {"vocabulary", {{"new_tokens", 5}, {"terms_file", "terms"}}}},
          "/indexer/train: warm_up trains no embeddings");
  refused(
      Json{{"indexer", {{"train", "sparse"}}},
           {"vocabulary", {{"new_tokens", 5}, {"terms_file", "terms"}, {"embedding_steps", 2}}}},
      "/indexer/train: vocabulary.embedding_steps train the embeddings alone");
  refused(Json{{"indexer", warm}, {"experts", {{"bias_rate", 0.1}}}},
          "/indexer/train: warm_up leaves the experts as they are");
  CHECK_THROWS_WITH(runs.config({{"indexer", warm}}),
                    Contains("/indexer/train: needs a trained model below it"));
  const std::string llama = runs.model("llama");
  CHECK_THROWS_WITH(execute(runs.config_of(llama, Json{{"indexer", warm}}),
                            {.app = "hone-domain", .out = runs.file("none")}),
                    Contains("the model has no indexers to train; those of deepseek_v32 have"));
}

}  // namespace
}  // namespace hone::run
