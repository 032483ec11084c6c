#include "hone/run/sharing.h"

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/run/plan.h"
#include "hone/run/run.h"
#include "run/recipe_fixture.h"
#include "support/catch.h"

namespace hone::run {
namespace {

using Catch::Contains;

struct Runs : test::RecipeFolder {
  /// A base of five layers.
  Runs() {
    const Config recipe = config({{"architecture", {{"num_hidden_layers", 5}}}, {"seed", 3}});
    const RunTokenizer tokenizer = make_tokenizer(recipe);
    Base base = load_base(recipe, tokenizer.text, {at::kCPU, at::kFloat});
    for (const at::Tensor& tensor : base.decoder->parameters()) {
      if (tensor.dim() > 1) tensor.detach().mul_(10);  // so that attention matters
    }
    write_tokenizer(tokenizer, file("tokenizer"));
    model::save_decoder(file("base"), base.decoder, base.config,
                        {.source_folder = file("tokenizer")});
  }

  Config shared(const Json& changes = Json::object(), const char* base = "base") const {
    Json json = {
        {"sharing", {{"layers", {{1, 2}, {3, 4}}}}},
        {"data",
         {{"tokens_per_batch", 64},
          {"held_out",
           {{{"files", {texts("held.jsonl", {"the plaintiff rests"})}}, {"domain", "law"}}}}}},
        {"train", {{"steps", 4}, {"lr", 1e-3}, {"save_every", 2}, {"log_every", 1}}}};
    json.merge_patch(changes);
    return config_of(file(base), json);
  }
  Report run(const Json& changes, const std::string& out, bool resume = false,
             const char* base = "base") const {
    return execute(shared(changes, base),
                   {.app = "hone-domain", .out = file(out), .resume = resume});
  }
  std::map<std::string, at::Tensor> tensors_of(const std::string& folder) const {
    std::map<std::string, at::Tensor> tensors;
    const io::Checkpoint checkpoint = io::Checkpoint::open(file(folder));
    for (const std::string& name : checkpoint.names()) tensors[name] = checkpoint.load(name);
    return tensors;
  }
  void check_same(const std::string& a, const std::string& b) const {
    const auto x = tensors_of(a), y = tensors_of(b);
    REQUIRE(x.size() == y.size());
    for (const auto& [name, tensor] : x) CHECK(tensor.equal(y.at(name)));
  }
};

TEST_CASE("A run shares layers, trains what they share, and saves it under each layer's names") {
  const Runs runs;
  const Report report = runs.run(Json::object(), "out");
  const auto before = runs.tensors_of("base"), after = runs.tensors_of("out/model");
  REQUIRE(after.size() == before.size());
  const auto at = [](const auto& tensors, int layer, const char* name) {
    return tensors.at("model.layers." + std::to_string(layer) + ".self_attn." + name + ".weight");
  };
  for (const char* name : {"q_proj", "k_proj"}) {
    CHECK(at(after, 1, name).equal(at(after, 2, name)));
    CHECK(at(after, 3, name).equal(at(after, 4, name)));
    CHECK_FALSE(at(after, 1, name).equal(at(after, 3, name)));
  }
  CHECK_FALSE(at(after, 1, "v_proj").equal(at(after, 2, "v_proj")));
  const Json& mine = report.json.at("sharing");
  const int64_t own = at(before, 0, "q_proj").numel() + at(before, 0, "k_proj").numel();
  CHECK(mine.at("parameters_saved") == 2 * own);
  CHECK(mine.at("layers") == Json{{1, 2}, {3, 4}});
  CHECK(read_json_file(runs.file("out/model/config.json")).at("hone_sharing").at("layers") ==
        Json{{1, 2}, {3, 4}});

  // Saved, the layers go on sharing in a run that says nothing of it.
  const Json again = {{"sharing", nullptr}, {"train", {{"steps", 1}}}};
  const Report second = runs.run(again, "again", false, "out/model");
  CHECK_FALSE(second.json.contains("sharing"));
  const auto last = runs.tensors_of("again/model");
  CHECK(at(last, 1, "q_proj").equal(at(last, 2, "q_proj")));
  CHECK_FALSE(at(last, 1, "q_proj").equal(at(after, 1, "q_proj")));
  CHECK_THROWS_WITH(runs.run(Json::object(), "twice", false, "out/model"),
                    Contains("share already"));
}

TEST_CASE("A run that shares goes on as if it had not stopped, from a teacher too") {
  const Runs runs;
  const Json taught = {{"distillation", {{"teacher", runs.file("base")}}}};
  runs.run(taught, "whole");
  std::filesystem::copy(runs.file("whole"), runs.file("part"),
                        std::filesystem::copy_options::recursive);
  for (const char* gone : {"report.json", "report.html", "model", "checkpoints/checkpoint-4"}) {
    std::filesystem::remove_all(runs.file("part/" + std::string(gone)));
  }
  runs.run(taught, "part", true);
  runs.check_same("whole/model", "part/model");

  Json recomputed = taught;
  recomputed["memory"]["checkpoint_every"] = 1;
  runs.run(recomputed, "recomputed");
  runs.check_same("whole/model", "recomputed/model");
}

TEST_CASE(
    "Pairs are chosen by what each costs, told, and not measured again by a run that goes on") {
  const Runs runs;
  const Json chosen = {{"sharing", {{"layers", nullptr}, {"pairs", 1}}}};
  const Report report = runs.run(chosen, "out");
  const Json& mine = report.json.at("sharing");
  REQUIRE(mine.at("divergences").size() == 1);  // of five layers
  CHECK(mine.at("divergences")[0].at("layers") == Json{2, 3});
  CHECK(mine.at("divergences")[0].at("divergence").get<double>() > 0);
  CHECK(mine.at("layers") == Json::array({{2, 3}}));
  CHECK(mine.at("perplexity").at("law").get<double>() > 1);

  const Json other = {{"sharing", {{"layers", {{2, 3}}}}}};
  const Report named = runs.run(other, "named");
  runs.check_same("out/model", "named/model");
  CHECK(named.json.at("sharing").at("perplexity") == mine.at("perplexity"));

  for (const char* gone : {"report.json", "report.html", "model", "checkpoints/checkpoint-4"}) {
    std::filesystem::remove_all(runs.file("out/" + std::string(gone)));
  }
  const Report again = runs.run(chosen, "out", true);
  CHECK(again.json.at("sharing") == mine);
  runs.check_same("out/model", "named/model");
}

TEST_CASE("The plan counts what is shared once") {
  const Runs runs;
  const Plan shared = make_plan(runs.shared());
  const Plan whole = make_plan(runs.shared({{"sharing", nullptr}}));
  const int64_t saved = 2 * (16 * 16 + 16 * 16);
  CHECK(whole.memory.weights - shared.memory.weights == 4 * saved);
  CHECK(whole.memory.gradients - shared.memory.gradients == 4 * saved);
  CHECK(whole.memory.optimizer_states - shared.memory.optimizer_states == 8 * saved);
}

TEST_CASE("What sharing does not go with is refused by name") {
  const Runs runs;
  const auto refuses = [&](const Json& changes, const char* message) {
    CHECK_THROWS_WITH(runs.run(changes, "refused"), Contains(message));
  };
  refuses({{"tuning", "lora"}}, "/sharing: only with tuning full");
  refuses({{"sharing", {{"what", "keys"}}}},
          "/sharing/what: only weights are shared: no checkpoint folder can say that layers share "
          "keys");
  refuses({{"sharing", {{"layers", {{1, 2}, {2, 3}}}}}},
          "/sharing/layers/1/0: layer 2 is in another group already");
  refuses({{"sharing", {{"pairs", 1}}}},
          "/sharing/pairs: give either groups of layers, or how many pairs are chosen");
  refuses({{"sharing", {{"layers", nullptr}, {"pairs", 2}}}},
          "/sharing/pairs: of 5 layers, at most 1 pairs can be chosen, got 2");
  refuses({{"sharing", {{"calibration_tokens", 9}}}}, "/sharing/calibration_tokens");
  refuses({{"sharing", {{"layers", {{3, 5}}}}}},
          "/sharing/layers/0/1: must be in [0, 5), the model's layers, got 5");
  refuses({{"train", {{"steps", 0}}}, {"data", {{"train", nullptr}}}}, "/sharing");
  CHECK_THROWS_WITH(runs.config({{"sharing", {{"layers", {{0, 1}}}}}}),
                    Contains("/sharing: needs trained layers"));
}

}  // namespace
}  // namespace hone::run
