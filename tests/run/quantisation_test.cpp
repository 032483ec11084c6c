#include "hone/run/quantisation.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/run/model_folder.h"
#include "hone/run/plan.h"
#include "hone/run/run.h"
#include "run/distillation_fixture.h"
#include "support/catch.h"

namespace hone::run {
namespace {

using Catch::Contains;

struct Runs : test::Runs {
  Runs() { model("base", 5); }
  /// A recipe that tunes the base rounded, the learning rate so high that it shows.
  Json rounded(const Json& changes = Json::object()) const {
    Json json = {{"model", file("base")},
                 {"distillation", nullptr},
                 {"quantisation", {{"scheme", "w8a8"}}},
                 {"train", {{"lr", 0.01}}}};
    json.merge_patch(changes);
    return json;
  }
  /// Without training.
  Config untrained(const Json& changes = Json::object()) const {
    Json json = {
        {"quantisation", {{"scheme", "w8a8"}}}, {"train", {{"steps", 0}}}, {"data", held_out()}};
    json.merge_patch(changes);
    return config_of(file("base"), json);
  }
  Report convert(const Json& changes, const std::string& out) const {
    return execute(untrained(changes), {.app = "hone-domain", .out = file(out)});
  }
  Json held_out() const {
    const std::string text = texts("held.jsonl", {"the plaintiff rests"});
    return {{"train", nullptr},
            {"tokens_per_batch", 64},
            {"held_out", {{{"files", {text}}, {"domain", "law"}}}}};
  }
  model::Decoder open(const std::string& folder) const {
    return open_model(ModelFolders::find(file(folder)), at::kCPU, at::kFloat).decoder;
  }
  std::map<std::string, at::Tensor> tensors_of(const std::string& folder) const {
    std::map<std::string, at::Tensor> tensors;
    const io::Checkpoint checkpoint = io::Checkpoint::open(file(folder));
    for (const std::string& name : checkpoint.names()) tensors[name] = checkpoint.load(name);
    return tensors;
  }
  bool same(const std::string& a, const std::string& b) const {
    const auto x = tensors_of(a), y = tensors_of(b);
    if (x.size() != y.size()) return false;
    return std::all_of(x.begin(), x.end(), [&](const auto& tensor) {
      return y.contains(tensor.first) && tensor.second.equal(y.at(tensor.first));
    });
  }
  /// Perplexity of the held-out text under a saved model.
  double scored(const std::string& folder, const Json& changes = Json::object()) const {
    Json recipe = {{"data", held_out()}, {"train", {{"steps", 0}}}};
    recipe.merge_patch(changes);
    const Report report = execute(config_of(file(folder), recipe),
                                  {.app = "hone-domain", .out = file(folder + "-scored")});
    return perplexity(report.json.at("before"));
  }
  static double perplexity(const Json& evaluation) {
    return evaluation.at("domains").at(0).at("perplexity").get<double>();
  }
};

TEST_CASE("A rounded run saves the integers that it was scored as") {
  const Runs runs;
  for (const Json& scheme : {Json{{"scheme", "w8a8"}}, Json{{"scheme", "w8a16"}},
                             Json{{"scheme", "w4a16"}, {"group", 8}}}) {
    const auto name = scheme.at("scheme").get<std::string>();
    INFO(name);
    const Report report = runs.run(runs.rounded({{"quantisation", scheme}}), name);
    const double after = Runs::perplexity(report.json.at("after"));
    CHECK(runs.scored(name + "/model") == Approx(after).epsilon(1e-6));
    CHECK(runs.open(name + "/model")->config().quantised);
    const Json& mine = report.json.at("quantisation");
    CHECK(mine.at("ignored").empty());
    CHECK(mine.at("layers") == std::ssize(model::block_linears(*runs.open("base"))));
    CHECK(mine.at("untrained").at("divergence").get<double>() > 0);
    CHECK(mine.at("untrained").at("perplexity").at("law").get<double>() !=
          Runs::perplexity(report.json.at("before")));
    CHECK(mine.at("trained").at("tokens") == mine.at("untrained").at("tokens"));
    CHECK(after < Runs::perplexity(report.json.at("before")));
  }
}

TEST_CASE("A rounded run without steps makes integers of its base") {
  const Runs runs;
  const Report report =
      runs.convert({{"quantisation", {{"ignore", {"re:.*down_proj"}}}}}, "integers");
  const Json& mine = report.json.at("quantisation");
  CHECK(mine.at("ignored").size() == runs.open("base")->layers.size());
  const double after = Runs::perplexity(report.json.at("after"));
  CHECK(after != Runs::perplexity(report.json.at("before")));
  CHECK(runs.scored("integers/model") == Approx(after).epsilon(1e-6));
  model::Decoder base = runs.open("base");
  model::QuantisedLayers layers;
  layers.ignore = {"re:.*down_proj"};
  model::quantise_decoder(*base, layers);
  const auto saved = runs.tensors_of("integers/model");
  for (const auto& [name, tensor] : base->hf_tensors()) CHECK(saved.at(name).equal(tensor));
  CHECK(std::filesystem::exists(runs.file("integers/model/tokenizer.json")));
}

TEST_CASE("A rounded run goes on as if it had not stopped") {
  const Runs runs;
  for (const double start : {0.0, 0.3, 0.8}) {  // the checkpoint lies after, in and before it
    INFO(start);
    const std::string whole = fmt::format("whole-{}", start), part = fmt::format("part-{}", start);
    const Json recipe = runs.rounded({{"quantisation", {{"start", start}}}});
    const Report first = runs.run(recipe, whole), again = runs.go_on(recipe, whole, part);
    CHECK(runs.same(whole + "/model", part + "/model"));
    CHECK(runs.column(whole, "loss") == runs.column(part, "loss"));
    CHECK(first.json.at("quantisation") == again.json.at("quantisation"));
  }
  CHECK(runs.column("whole-0.3", "loss")[0] == runs.column("whole-0.8", "loss")[0]);
  CHECK(runs.column("whole-0.3", "loss")[1] != runs.column("whole-0.8", "loss")[1]);
}

TEST_CASE("A rounded run's blocks may be recomputed") {
  const Runs runs;
  runs.run(runs.rounded(), "kept");
  runs.run(runs.rounded({{"memory", {{"checkpoint_every", 1}}}}), "again");
  CHECK(runs.same("kept/model", "again/model"));
}

TEST_CASE("An adapter's change is rounded together with the weight") {
  const Runs runs;
  const bool dora = GENERATE(false, true);
  const Json recipe = runs.rounded({{"tuning", "lora"}, {"lora", {{"rank", 2}, {"dora", dora}}}});
  const Report report = runs.run(recipe, "out");
  CHECK(runs.scored("out/model") ==
        Approx(Runs::perplexity(report.json.at("after"))).epsilon(1e-5));
  model::Decoder merged = runs.open("out/adapter");
  model::merge_lora(merged);
  model::quantise_decoder(*merged, {});
  const auto saved = runs.tensors_of("out/model");
  for (const auto& [name, tensor] : merged->hf_tensors()) CHECK(saved.at(name).equal(tensor));
}

TEST_CASE("An adapter learns over integers, and is saved alone") {
  const Runs runs;
  runs.convert(Json::object(), "integers");
  const Json recipe = runs.rounded({{"model", runs.file("integers")},
                                    {"quantisation", nullptr},
                                    {"tuning", "lora"},
                                    {"lora", {{"rank", 2}}}});
  CHECK_THAT(make_plan(runs.config(runs.student(recipe))).text,
             Contains("an adapter alone, over its integers"));
  const Report report = runs.run(recipe, "out");
  CHECK(Runs::perplexity(report.json.at("after")) < Runs::perplexity(report.json.at("before")));
  CHECK_FALSE(std::filesystem::exists(runs.file("out/model")));
  CHECK_THROWS_WITH(runs.scored("out"), Contains("holds an adapter alone"));
  const Json adapted = {{"tuning", "lora"}, {"lora", {{"from", runs.file("out/adapter")}}}};
  CHECK(runs.scored("integers", adapted) ==
        Approx(Runs::perplexity(report.json.at("after"))).epsilon(1e-6));
  CHECK(runs.open("out")->adapter()->rank == 2);
  runs.go_on(recipe, "out", "part");
  CHECK(runs.column("out", "loss") == runs.column("part", "loss"));

  const auto refused = [&](const Json& changes, const char* what) {
    Json other = recipe;
    other.merge_patch(changes);
    CHECK_THROWS_WITH(make_plan(runs.config(runs.student(other))), Contains(what));
  };
  refused({{"tuning", "full"}, {"lora", nullptr}}, "integers cannot be trained");
  refused({{"quantisation", {{"scheme", "w8a8"}}}}, "holds integers already");
}

TEST_CASE("The numbers that were rounded can be saved in place of the integers") {
  const Runs runs;
  const Report report = runs.run(runs.rounded({{"quantisation", {{"save", "numbers"}}}}), "out");
  CHECK_FALSE(runs.open("out/model")->config().quantised);
  runs.run(runs.rounded(), "integers");
  model::Decoder numbers = runs.open("out/model");
  model::quantise_decoder(*numbers, {});
  const auto saved = runs.tensors_of("integers/model");
  for (const auto& [name, tensor] : numbers->hf_tensors()) CHECK(saved.at(name).equal(tensor));
}

TEST_CASE("A smoothed run begins as the same model, tells each layer's part and goes on") {
  const Runs runs;
  const Json recipe = runs.rounded(
      {{"quantisation", {{"smooth", 0.5}, {"sensitivity", true}, {"calibration_tokens", 50}}}});
  const Report whole = runs.run(recipe, "whole"), part = runs.go_on(recipe, "whole", "part");
  CHECK(runs.same("whole/model", "part/model"));
  const Json& mine = whole.json.at("quantisation");
  CHECK(mine == part.json.at("quantisation"));
  const Json& rows = mine.at("sensitivity");
  REQUIRE(rows.size() == mine.at("layers").get<size_t>());
  CHECK(rows.front().at("divergence") >= rows.back().at("divergence"));

  const Report numbers =
      runs.convert({{"quantisation", {{"smooth", 0.5}, {"save", "numbers"}}}}, "numbers");
  CHECK(runs.scored("numbers/model") ==
        Approx(Runs::perplexity(numbers.json.at("before"))).epsilon(1e-5));
  CHECK_FALSE(runs.same("numbers/model", "base"));
}

TEST_CASE("Recipes that cannot round are refused by name") {
  const Runs runs;
  const auto refused = [&](const Json& changes, const char* what) {
    CHECK_THROWS_WITH(make_plan(runs.config(runs.student(runs.rounded(changes)))), Contains(what));
  };
  const auto options = [](const Json& options) { return Json{{"quantisation", options}}; };
  refused(options({{"scheme", "w2a2"}}), "quantisation/scheme");
  refused(options({{"schem", "w8a8"}}), "quantisation/schem");
  refused(options({{"group", 8}}), "quantisation/group: w8a8 has a scale a row");
  refused(options({{"scheme", "w4a16"}}),
          "quantisation/group: 128 does not divide the columns of ");
  refused(options({{"ignore", {"model.layers.0.mlp.down"}}}), "quantisation/ignore: ");
  refused(options({{"ignore", {"re:.*"}}}), "leaves no layer to quantise");
  refused(options({{"start", 1}}), "quantisation/start");
  refused({{"tuning", "lora"}, {"lora", {{"dropout", 0.1}}}}, "lora/dropout: must be 0");
  refused(options({{"calibration_tokens", 9}}), "calibration_tokens: has no effect");
  refused({{"tuning", "lora"}, {"quantisation", {{"smooth", 0.5}}}},
          "quantisation/smooth: only with tuning full");
  refused({{"sharing", {{"layers", {{0, 1}}}}}}, "cannot be rounded yet");
  const auto without_steps = [&](const Json& changes, const char* what) {
    CHECK_THROWS_WITH(runs.untrained(changes), Contains(what));
  };
  without_steps(options({{"start", 0.5}}), "quantisation/start");
  without_steps(options({{"save", "numbers"}}), "quantisation/save");
  without_steps({{"tuning", "lora"}, {"lora", {{"from", runs.file("adapter")}}}},
                "lora/merge_first: must be true");
}

TEST_CASE("The plan counts what rounding keeps") {
  const Runs runs;
  const auto memory = [&](const Json& changes) {
    return make_plan(runs.config(runs.student(runs.rounded(changes)))).memory;
  };
  const model::MemoryPlan exact = memory({{"quantisation", nullptr}}),
                          rounded = memory(Json::object());
  CHECK(rounded.weights == exact.weights);
  CHECK(rounded.activations < exact.activations);
  CHECK_THAT(make_plan(runs.untrained()).text, Contains("w8a8 integers (compressed-tensors)"));
}

}  // namespace
}  // namespace hone::run
