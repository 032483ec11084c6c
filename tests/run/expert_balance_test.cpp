#include "hone/run/expert_balance.h"

#include <torch/types.h>

#include <fstream>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/model/pruned/pruning.h"
#include "hone/nn/moe.h"
#include "hone/run/report.h"
#include "hone/run/run.h"
#include "hone/train/loop.h"
#include "model/support.h"
#include "run/recipe_fixture.h"
#include "run/run_fixture.h"
#include "support/catch.h"

namespace hone::run {
namespace {

using Catch::Contains;

const Json kExperts = {
    {"architecture", test::expert_architecture()},
    {"data", {{"tokens_per_batch", 64}}},
    {"train", {{"steps", 6}, {"lr", 1e-3}, {"save_every", 3}, {"log_every", 2}}}};

Json changed(const Json& changes) {
  Json json = kExperts;
  json.merge_patch(changes);
  return json;
}

struct Runs : test::RecipeFolder {
  Report run(const Json& changes, const std::string& out, bool resume = false) const {
    return execute(config(changed(changes)),
                   {.app = "hone-domain", .out = file(out), .resume = resume});
  }
  at::Tensor bias(const std::string& folder) const {
    return io::Checkpoint::open(file(folder))
        .load("model.layers.1.mlp.gate.e_score_correction_bias");
  }
  /// The rows of the steps in metrics.jsonl.
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

TEST_CASE("The bias of each expert moves by the rate, against its load") {
  const Runs runs;
  const Report one =
      runs.run({{"experts", {{"bias_rate", 0.01}}}, {"train", {{"steps", 1}}}}, "one");
  const at::Tensor bias = runs.bias("one/model");
  const auto counts = one.json.at("experts").at("1").at("counts").get<std::vector<int64_t>>();
  double sum = 0, most = 0;
  for (const int64_t count : counts) {
    sum += static_cast<double>(count);
    most = std::max(most, static_cast<double>(count));
  }
  int64_t moved = 0;
  for (size_t e = 0; e < counts.size(); ++e) {
    const double under = sum / 8 - static_cast<double>(counts[e]);
    const double wanted = under > 0 ? 0.01 : under < 0 ? -0.01 : 0;
    CHECK(bias[e].item<double>() == Approx(wanted).margin(1e-9));
    moved += wanted != 0;
  }
  CHECK(moved > 0);
  CHECK(runs.steps("one")[0].at("expert_load").at("1").get<double>() == Approx(most / (sum / 8)));
  CHECK_FALSE(runs.steps("one")[0].contains("expert_share"));  // of every second step
  CHECK_FALSE(one.json.at("experts").contains("0"));           // a dense layer
  CHECK(runs.run({{"train", {{"steps", 1}}}}, "none").json.contains("experts"));
  CHECK(runs.bias("none/model").eq(0).all().item<bool>());
}

TEST_CASE("An expert that is off keeps its bias and does not count") {
  Config recipe;
  recipe.experts.bias_rate = 0.01;
  hone::test::SmallRun run(model::test::v3_config(), recipe);
  ExpertBalance balance(recipe.experts);
  balance.open(*run.ready);
  train::Task task;
  optim::FusedAdamW optimizer = run.optimizer();
  balance.attach(task, optimizer);
  model::add_gates(run.decoder, {model::UnitKind::kExperts});
  model::set_masks(run.decoder, model::UnitKind::kExperts,
                   {{1, {true, true, true, true, true, false}}});
  model::test::loss_of(run.decoder, model::test::random_input({9, 6}, 40));
  task.after_step({.step = 1});
  const Json counts = task.extra_metrics().at("experts_alive");
  CHECK(counts.at("1") <= 5);
  Json report = Json::object();
  balance.report({train::Outcome{}, {}, {}, ""}, report);
  const auto load = report.at("experts").at("1").at("counts").get<std::vector<double>>();
  const auto& moe = dynamic_cast<const nn::MoeImpl&>(*run.decoder->layers[1]->mlp);
  const double mean = 15 * 2 / 5.0;
  for (size_t e = 0; e < 6; ++e) {
    const double wanted = e == 5 || load[e] == mean ? 0 : load[e] < mean ? 0.01 : -0.01;
    CHECK(moe.router->e_score_correction_bias[e].item<double>() == Approx(wanted).margin(1e-9));
  }
}

TEST_CASE("A run with a moving bias goes on as if it had not stopped") {
  const Runs runs;
  const Json balanced = {{"experts", {{"bias_rate", 0.01}, {"balance_loss", 0.1}}}};
  runs.run(balanced, "whole");
  std::filesystem::copy(runs.file("whole"), runs.file("part"),
                        std::filesystem::copy_options::recursive);
  for (const char* left : {"/model", "/report.json", "/checkpoints/checkpoint-6"}) {
    std::filesystem::remove_all(runs.file("part") + left);
  }
  const Json shares = runs.steps("whole")[1].at("expert_share").at("1");
  REQUIRE(shares.size() == 8);
  double sum = 0;
  for (const Json& share : shares) sum += share.get<double>();
  CHECK(sum == Approx(8));
  const Report again = runs.run(balanced, "part", /*resume=*/true);
  for (const std::string& name : io::Checkpoint::open(runs.file("whole/model")).names()) {
    INFO(name);
    CHECK(at::equal(io::Checkpoint::open(runs.file("whole/model")).load(name),
                    io::Checkpoint::open(runs.file("part/model")).load(name)));
  }
  CHECK(again.json.at("experts") == read_json_file(runs.file("whole/report.json")).at("experts"));
}

TEST_CASE("The balance loss changes the routers, and recomputed blocks change nothing") {
  const Runs runs;
  const Json loss = {{"experts", {{"balance_loss", 1}, {"balance_over", "batch"}}}};
  runs.run(loss, "with");
  runs.run(Json::object(), "without");
  Json again = loss;
  again["memory"]["checkpoint_every"] = 1;
  runs.run(again, "again");
  const std::string router = "model.layers.1.mlp.gate.weight";
  const auto load = [&](const char* out) {
    return io::Checkpoint::open(runs.file(out) + "/model").load(router);
  };
  CHECK_FALSE(at::equal(load("with"), load("without")));
  CHECK(at::equal(load("with"), load("again")));
  CHECK(runs.steps("with")[0].at("balance_loss") == runs.steps("again")[0].at("balance_loss"));
  CHECK(runs.steps("with")[0].at("balance_loss").get<double>() >= 0.9);
  CHECK_FALSE(runs.steps("without")[0].contains("balance_loss"));
}

TEST_CASE("Of DeepSeek-V4 those experts are balanced that are chosen by score") {
  const Runs runs;
  const std::string base = runs.model("base");
  Json json = model::test::v4_config();
  json["vocab_size"] = io::Checkpoint::open(base).config().at("vocab_size");
  const model::Decoder before = model::test::small_decoder(json);
  model::save_decoder(runs.file("v4"), before, json, {.source_folder = base});
  const run::Config config =
      runs.config_of(runs.file("v4"), {{"train", {{"steps", 2}, {"lr", 1e-3}}},
                                       {"experts", {{"bias_rate", 0.01}, {"balance_loss", 0.1}}}});
  const Report report = execute(config, {.app = "hone-domain", .out = runs.file("run")});
  CHECK(report.json.at("experts").size() == 6);
  const auto trained = io::Checkpoint::open(runs.file("run/model"));
  const auto start = io::Checkpoint::open(runs.file("v4"));
  CHECK(trained.names() == start.names());
  CHECK(trained.load("layers.5.ffn.gate.bias").ne(0).any().item<bool>());
  CHECK(trained.load("layers.1.ffn.gate.tid2eid").equal(start.load("layers.1.ffn.gate.tid2eid")));
  CHECK(trained.load("layers.1.attn.indexer.wq_b.weight")
            .equal(start.load("layers.1.attn.indexer.wq_b.weight")));
  for (const char* name : {"layers.1.ffn.gate.weight", "layers.0.hc_attn_fn", "hc_head_base"}) {
    CHECK_FALSE(trained.load(name).equal(start.load(name)));
  }
}

TEST_CASE("What cannot be balanced is refused") {
  const Runs runs;
  const Json rate = {{"experts", {{"bias_rate", 0.01}}}};
  CHECK_THROWS_WITH(execute(runs.config(rate), {.app = "hone-domain", .out = runs.file("dense")}),
                    Contains("experts: the model has none"));
  Json v2 = rate;
  v2["architecture"]["model_type"] = "deepseek_v2";
  CHECK_THROWS_WITH(runs.run(v2, "v2"), Contains("routers have no bias; use balance_loss"));
  const std::string model = runs.model("base");
  CHECK_THROWS_WITH(runs.config_of(model, {{"tuning", "lora"}, {"experts", {{"bias_rate", 0.1}}}}),
                    Contains("/experts/bias_rate: only with tuning full"));
  CHECK_THROWS_WITH(runs.config({{"experts", {{"balance_over", "batch"}}}}),
                    Contains("/experts/balance_over: has no effect with balance_loss 0"));
}

}  // namespace
}  // namespace hone::run
