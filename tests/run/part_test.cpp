#include "hone/run/part.h"

#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/io/json_lines.h"
#include "hone/model/decoder.h"
#include "hone/optim/optimizer.h"
#include "hone/run/report.h"
#include "hone/run/run.h"
#include "hone/run/tokenizer.h"
#include "recipe_fixture.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::run;

namespace {

/// A recipe of a model small enough to train in a second, and its text.
class TinyRecipe {
 public:
  TinyRecipe() {
    for (const char* name : {"law", "held"}) {
      std::ofstream file(path(name) + ".jsonl");
      for (int i = 0; i < 24; ++i) {
        file << Json{{"text", "the court hears plaintiff " + std::to_string(i % 7)}}.dump() << "\n";
      }
      file << Json{{"text", std::string("only in ") + name}}.dump() << "\n";
    }
  }

  std::string path(const std::string& name) const { return temporary_.path + "/" + name; }

  Config config(int64_t steps, const Json& guard = Json::object()) const {
    const auto set = [this](const char* name) {
      return Json::array({{{"name", name}, {"domain", name}, {"files", {path(name) + ".jsonl"}}}});
    };
    return config::read_config<Config>(
        {{"about", "part_test"},
         {"architecture",
          {{"hidden_size", 16},
           {"intermediate_size", 32},
           {"num_hidden_layers", 1},
           {"num_attention_heads", 2},
           {"max_position_embeddings", 64}}},
         {"tokenizer", {{"vocab_size", 300}}},
         {"device", "cpu"},
         {"threads", 1},
         {"data", {{"train", set("law")}, {"held_out", set("held")}, {"tokens_per_batch", 64}}},
         {"guard", guard},
         {"train", {{"steps", steps}, {"lr", 0.05}, {"eval_every", 2}, {"save_every", 2}}}});
  }

  /// Runs the recipe in the folder of that name with these parts.
  Report run(const Config& config, const std::string& out, const std::vector<Part*>& parts,
             bool resume = false) const {
    return execute(config, {.app = "part_test", .out = path(out), .resume = resume}, parts);
  }

 private:
  const TemporaryFolder temporary_;
};

/// Counts steps, and stops the run at the first evaluation after `most` of them.
class StepCounter : public Part {
 public:
  explicit StepCounter(int64_t most = 1000) : most_(most) {}

  std::string name() const override { return "counter"; }
  void scored(const train::Evaluation&) override { calls.push_back("scored"); }
  void open(ReadyRun& run) override {
    calls.push_back("open");
    planned = run.config.train.steps;
  }
  void attach(train::Task& task, optim::Optimizer&) override {
    calls.push_back("attach");
    task.before_step = [this](int64_t) { ++steps; };
  }
  std::string evaluated(const train::Evaluation&, bool last) override {
    calls.push_back(last ? "last evaluation" : "evaluation");
    return steps >= most_ ? "stopped by the counter" : "";
  }
  Json save() const override { return steps; }
  void load(const Json& state) override { steps = state; }
  void close() override { calls.push_back("close"); }
  void finished(model::Decoder&, const RunTokenizer&) override { calls.push_back("finished"); }
  void report(const EndedRun&, Json& report) override { report["counted"] = steps; }

  int64_t steps = 0, planned = 0;
  std::vector<std::string> calls;

 private:
  const int64_t most_;
};

/// Replaces the loss by the size of the embedding: a run that forgets.
class Forgetting : public Part {
 public:
  std::string name() const override { return "forgetting"; }
  void open(ReadyRun& run) override { table_ = run.decoder->embed_tokens->weight; }
  void attach(train::Task& task, optim::Optimizer& optimizer) override {
    for (const auto& [name, parameter] : optimizer.parameters()) trained += parameter.numel();
    before = size();
    task.loss = [this](const data::Batch&) {
      return loss::LossSum{table_.square().sum(), at::ones({})};
    };
  }
  void close() override { after = size(); }

  double before = 0, after = 0;
  int64_t trained = 0;

 private:
  double size() const { return table_.detach().square().sum().item<double>(); }

  at::Tensor table_;
};

/// Turns the loss around: a run that gets worse.
class Unlearning : public Part {
 public:
  std::string name() const override { return "unlearning"; }
  void attach(train::Task& task, optim::Optimizer&) override {
    task.loss = [learn = task.loss](const data::Batch& batch) {
      const loss::LossSum loss = learn(batch);
      return loss::LossSum{-loss.sum, loss.weight};
    };
  }
};

/// Ends a run, as a kill would, once its base has been scored.
class Dying : public Part {
 public:
  std::string name() const override { return "dying"; }
  void scored(const train::Evaluation&) override { throw Error("killed"); }
};

/// Lets a run keep nothing.
class Fleeting : public Part {
 public:
  std::string name() const override { return "fleeting"; }
  bool keeps_checkpoints() const override { return false; }
  bool keeps_model() const override { return false; }
};

bool exists(const std::string& path) { return std::filesystem::exists(path); }

}  // namespace

TEST_CASE("A part is called in the order of the run, and reports") {
  const TinyRecipe recipe;
  StepCounter counter;
  const Report report = recipe.run(recipe.config(4), "run", {&counter});
  CHECK(report.exit_code == 0);
  CHECK(report.json.at("ending") == "done");
  CHECK(report.json.at("counted") == 4);
  CHECK(counter.planned == 4);
  CHECK(counter.calls == std::vector<std::string>{"scored", "open", "attach", "evaluation",
                                                  "last evaluation", "close", "finished"});
  CHECK(exists(recipe.path("run/model/model.safetensors")));
}

TEST_CASE("A part that stops a run gives the ending its name, and its state is in checkpoints") {
  const TinyRecipe recipe;
  StepCounter counter(3);
  const Report report = recipe.run(recipe.config(8), "run", {&counter});
  CHECK(report.ending == train::Ending::kStopped);
  CHECK(report.exit_code == 0);
  CHECK(report.json.at("ending") == "stopped by the counter");
  CHECK(report.json.at("counted") == 4);  // the first evaluation after three steps
  CHECK(report.json.at("steps") == 4);
  CHECK(counter.calls.back() == "close");  // not finished()

  // As if it had been killed before its report: the checkpoint says how it ended, and what counted.
  std::filesystem::remove(recipe.path("run/report.json"));
  StepCounter again(3);
  const Report resumed = recipe.run(recipe.config(8), "run", {&again}, true);
  CHECK(resumed.json.at("ending") == "stopped by the counter");
  CHECK(resumed.json.at("counted") == 4);
  CHECK(again.calls == std::vector<std::string>{"open", "attach", "close"});
}

TEST_CASE("A run that was killed before it wrote its manifest goes on, and writes it") {
  const TinyRecipe recipe;
  const std::string manifest = recipe.path("run/manifest.json");
  Dying dying;
  CHECK_THROWS_WITH(recipe.run(recipe.config(2), "run", {&dying}), "killed");
  CHECK_FALSE(exists(manifest));
  CHECK(recipe.run(recipe.config(2), "run", {}, true).json.at("ending") == "done");
  CHECK(read_json_file(manifest).at("app") == "part_test");
}

TEST_CASE("An adapter comes with its base where the run made that by new tokens") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("m"), terms = folder.write("terms.txt", "zymurgy\n");
  for (const bool grows : {false, true}) {
    Json changes = {{"tuning", "lora"}, {"device", "cpu"}, {"threads", 1}};
    changes["train"] = {{"steps", 1}};
    if (grows) changes["vocabulary"] = {{"new_tokens", 20}, {"terms_file", terms}};
    const std::string run = folder.file(grows ? "grown" : "plain");
    execute(folder.config_of(model, changes), {.app = "part_test", .out = run});
    CHECK(exists(run + "/adapter"));
    CHECK(exists(run + "/model/model.safetensors"));
    CHECK(exists(run + "/base/model.safetensors") == grows);
  }
}

TEST_CASE("A part may replace the loss") {
  const TinyRecipe recipe;
  Forgetting forgetting;
  recipe.run(recipe.config(6), "run", {&forgetting});
  CHECK(forgetting.trained > 0);
  CHECK(forgetting.before > 0);
  CHECK(forgetting.after < forgetting.before / 2);
  for (const Json& row : io::read_json_lines(recipe.path("run/metrics.jsonl"))) {
    if (row.value("step", 0) == 1 && row.contains("loss")) {
      CHECK(row.at("loss").get<double>() == Approx(forgetting.before));
    }
  }
}

TEST_CASE("What one part does not keep the run does not, whatever others want") {
  const TinyRecipe recipe;
  StepCounter counter;
  Fleeting fleeting;
  const Report report = recipe.run(recipe.config(4), "run", {&counter, &fleeting});
  CHECK(report.json.at("steps") == 4);
  CHECK(counter.calls.back() == "finished");
  CHECK_FALSE(exists(recipe.path("run/model")));
  CHECK_FALSE(exists(recipe.path("run/tokenizer")));
  CHECK_FALSE(exists(recipe.path("run/checkpoints")));
}

TEST_CASE("The guard of the recipe comes behind the parts, and stops a run that it may not go on") {
  const TinyRecipe recipe;
  Unlearning unlearning;
  StepCounter counter;
  const Json guard = {{"domain", "held"}, {"max_ratio", 1.0}};
  const Report report = recipe.run(recipe.config(20, guard), "run", {&unlearning, &counter});
  CHECK(report.json.at("ending") == "stopped by the guard");
  CHECK(report.json.at("guard").at("returned_to") == 0);
  CHECK(report.json.at("guard").at("ratio") == 1.0);
  CHECK(report.json.at("guard").at("last_ratio").get<double>() > 1);
  CHECK(report.json.at("guard").at("verdict") == "held");
  CHECK(report.json.at("counted") == 0);  // it went back to the first checkpoint
}
