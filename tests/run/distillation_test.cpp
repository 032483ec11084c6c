#include "hone/run/distillation.h"

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/nn/anatomy.h"
#include "hone/run/model_folder.h"
#include "hone/run/plan.h"
#include "hone/run/run.h"
#include "run/distillation_fixture.h"
#include "support/catch.h"

namespace hone::run {
namespace {

using Catch::Contains;
using test::adapted, test::distilled, test::Runs;

TEST_CASE("The loss is shared between the text and the teacher") {
  const Runs runs;
  runs.model("teacher", 5);
  const Json one = {{"train", {{"steps", 1}}}};
  const auto loss = [&](const char* out, Json options) {
    Json changes = one;
    changes["distillation"] = std::move(options);
    runs.run(changes, out);
    return runs.column(out, "loss").at(0);
  };
  const double text = loss("text", nullptr), shared = loss("shared", {{"share", 0.3}});
  const double divergence = runs.column("shared", "divergence").at(0);
  CHECK(divergence > 1e-3);
  CHECK(shared == Approx(0.7 * text + 0.3 * divergence).epsilon(1e-6));
  CHECK(loss("none", {{"share", 0}}) == Approx(text).epsilon(1e-6));
  CHECK(runs.head("none").equal(runs.head("text")));
  CHECK_FALSE(runs.head("shared").equal(runs.head("text")));
  const double warm = loss("warm", {{"share", 1}, {"temperature", 2}});
  const double once =
      loss("once", {{"share", 1}, {"temperature", 2}, {"temperature_squared", false}});
  CHECK(warm == Approx(4 * once).epsilon(1e-5));
}

TEST_CASE("A student that is its teacher has nothing to learn from it") {
  const Runs runs;
  runs.model("teacher", 5);
  const Report report =
      execute(runs.config_of(runs.file("teacher"),
                             {{"distillation", {{"teacher", runs.file("teacher")}, {"share", 1}}},
                              {"data", {{"tokens_per_batch", 64}}},
                              {"train", {{"steps", 1}, {"weight_decay", 0}}}}),
              {.app = "hone-domain", .out = runs.file("same")});
  CHECK(std::abs(runs.column("same", "divergence").at(0)) < 1e-6);
  CHECK(std::abs(runs.column("same", "loss").at(0)) < 1e-6);
  CHECK(report.json.at("distillation").at("divergence").get<double>() < 1e-6);
}

TEST_CASE("A report tells how good the teacher is") {
  const Runs runs;
  runs.model("teacher", 5);
  const Report report = runs.run(Json::object(), "out");
  const Report scored = execute(
      runs.config_of(runs.file("teacher"),
                     {{"data",
                       {{"train", nullptr},
                        {"held_out", {{{"files", {runs.file("held.jsonl")}}, {"domain", "law"}}}}}},
                      {"train", {{"steps", 0}}}}),
      {.app = "hone-domain", .out = runs.file("scored")});
  const Json& mine = report.json.at("distillation");
  CHECK(mine.at("teacher") == runs.file("teacher"));
  CHECK(mine.at("teacher_perplexity").at("law").get<double>() ==
        Approx(scored.json.at("before").at("domains").at(0).at("perplexity").get<double>()));
  CHECK(mine.at("divergence") == runs.column("out", "divergence").back());
}

TEST_CASE("A distilled run goes on as if it had not stopped") {
  const Runs runs;
  runs.model("teacher", 5);
  const bool own_base = GENERATE(false, true);
  const Json recipe =
      own_base ? adapted(runs, Json::object()) : distilled({{"divergence", "jsd"}, {"beta", 0.3}});
  const Report whole = runs.run(recipe, "whole");
  const Report again = runs.go_on(recipe, "whole", "part");
  CHECK(runs.head("whole").equal(runs.head("part")));
  CHECK(runs.column("whole", "divergence") == runs.column("part", "divergence"));
  CHECK(again.json.at("distillation") == whole.json.at("distillation"));
}

TEST_CASE("The base teaches its own adapter as a second model of the same weights would") {
  const Runs runs;
  runs.model("teacher", 5);
  const bool dora = GENERATE(false, true);
  const Json more = {{"lora", {{"dora", dora}, {"dropout", 0.1}}},
                     {"memory", {{"checkpoint_every", 1}}}};
  const Report own = runs.run(adapted(runs, more), "own");
  Json second = more;
  second["distillation"] = {{"teacher", runs.file("teacher")}};
  const Report other = runs.run(adapted(runs, second), "other");
  CHECK(runs.column("own", "loss") == runs.column("other", "loss"));
  const std::vector<double> divergence = runs.column("own", "divergence");
  CHECK(divergence == runs.column("other", "divergence"));
  CHECK(std::abs(divergence.front()) < 1e-6);  // the adapter begins as nothing
  CHECK(divergence.back() > 1e-4);
  CHECK(runs.head("own").equal(runs.head("other")));
  const Json &mine = own.json.at("distillation"), &theirs = other.json.at("distillation");
  CHECK(mine.at("teacher_perplexity") == theirs.at("teacher_perplexity"));

  const int64_t apart = make_plan(runs.config(runs.student(adapted(runs, second)))).memory.peak -
                        make_plan(runs.config(runs.student(adapted(runs, more)))).memory.peak;
  CHECK(
      apart ==
      4 * nn::numel(
              *open_model(ModelFolders::find(runs.file("teacher")), at::kCPU, at::kFloat).decoder));
}

TEST_CASE("A base that the run changes is no teacher") {
  const Runs runs;
  runs.model("teacher", 5);
  const auto refused = [&](const Json& changes, const char* what) {
    CHECK_THROWS_WITH(runs.config(runs.student(adapted(runs, changes))), Contains(what));
  };
  refused({{"tuning", "full"}, {"lora", nullptr}},
          "distillation/teacher: base, the run's own model");
  refused({{"vocabulary", {{"new_tokens", 8}, {"domains", {"law"}}}}},
          "distillation/teacher: base knows no new tokens");
  const Json saved = adapted(runs, {{"lora", {{"modules_to_save", {"lm_head"}}}}});
  CHECK_THROWS_WITH(
      make_plan(runs.config(runs.student(saved))),
      Contains("distillation.teacher: base cannot teach") && Contains("modules_to_save"));
}

TEST_CASE("A teacher that cannot teach is refused before weights are read") {
  const Runs runs;
  runs.model("teacher", 5);
  const std::string text = runs.texts("zoo.jsonl", {"zebras graze", "a zebra grazes"});
  Json other = runs.student({{"tokenizer", {{"folder", nullptr}, {"vocab_size", 300}}}});
  other["data"]["train"] = {{{"files", {text}}, {"domain", "law"}}};
  CHECK_THROWS_WITH(execute(runs.config(other), {.app = "hone-domain", .out = runs.file("a")}),
                    Contains("distillation.teacher: ") && Contains("has another vocabulary"));
  CHECK_THROWS_WITH(make_plan(runs.config(other)), Contains("has another vocabulary"));
  Json none = runs.student(distilled({{"teacher", runs.file("nowhere")}}));
  CHECK_THROWS_AS(make_plan(runs.config(none)), IoError);
  CHECK_FALSE(std::filesystem::exists(runs.file("a/model")));
  const auto refused = [&](const Json& options, const char* what) {
    CHECK_THROWS_WITH(runs.config(runs.student(distilled(options))), Contains(what));
  };
  refused({{"beta", 0.3}}, "distillation/beta: has no effect without divergence jsd");
  refused({{"temperature_squared", true}}, "has no effect with temperature 1");
  refused({{"temperatur", 2}}, "distillation/temperatur");
  refused({{"teacher", nullptr}}, "distillation/teacher");
}

TEST_CASE("The plan counts the teacher") {
  const Runs runs;
  runs.model("teacher", 5);
  const Plan without = make_plan(runs.config(runs.student({{"distillation", nullptr}})));
  const Plan with = make_plan(runs.config(runs.student(Json::object())));
  CHECK_THAT(with.text, Contains("\nteacher "));
  int64_t weights = 0;
  const OpenModel teacher =
      open_model(ModelFolders::find(runs.file("teacher")), at::kCPU, at::kFloat);
  for (const at::Tensor& parameter : teacher.decoder->parameters()) {
    weights += 4 * parameter.numel();
  }
  const int64_t more = with.memory.peak - without.memory.peak;
  // Hidden states of 64 tokens of width 16, and as many rows of logits.
  CHECK(more == weights + 4 * 64 * (16 + teacher.decoder->config().vocab_size));
}

}  // namespace
}  // namespace hone::run
