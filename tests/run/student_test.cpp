#include "hone/run/student.h"

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/model/checkpoint.h"
#include "hone/nn/anatomy.h"
#include "hone/run/model_folder.h"
#include "hone/run/plan.h"
#include "hone/run/run.h"
#include "run/distillation_fixture.h"
#include "support/catch.h"

namespace hone::run {
namespace {

using Catch::Contains;

struct Runs : test::Runs {
  Runs() {
    model("base", 5, at::kFloat,
          {{"architecture",
            {{"hidden_size", 32},
             {"intermediate_size", 48},
             {"num_hidden_layers", 5},
             {"num_attention_heads", 4},
             {"num_key_value_heads", 2},
             {"tie_word_embeddings", true}}}});
  }
  Json recipe(const Json& changes = Json::object()) const {
    Json json = {{"model", file("base")},
                 {"distillation", nullptr},
                 {"student",
                  {{"num_hidden_layers", 4},
                   {"num_key_value_heads", 1},
                   {"intermediate_size", 40},
                   {"hidden_size", 24}}}};
    json.merge_patch(changes);
    return json;
  }
  model::Decoder open(const std::string& folder) const {
    return open_model(ModelFolders::find(file(folder)), at::kCPU, at::kFloat).decoder;
  }
};

TEST_CASE("A run trains a student that it cuts from its base, and saves a plain model") {
  const Runs runs;
  const Report report = runs.run(runs.recipe(), "out");
  const model::Decoder student = runs.open("out/model");
  const model::DecoderConfig& config = student->config();
  CHECK(config.num_hidden_layers == 4);
  CHECK(config.hidden_size == 24);
  CHECK(config.head_dim == 8);
  CHECK_FALSE(config.tie_word_embeddings);
  const Json saved = io::Checkpoint::open(runs.file("out/model")).config();
  CHECK(saved.at("num_attention_heads") == 2);
  CHECK(saved.at("num_key_value_heads") == 1);
  CHECK(saved.at("intermediate_size") == 40);
  CHECK_FALSE(saved.contains("hone_pruned"));

  const model::Decoder base = runs.open("base");
  const Json& mine = report.json.at("student");
  CHECK(mine.at("parameters") == nn::parameters(*student));
  CHECK(mine.at("base_parameters") == nn::parameters(*base));
  CHECK(mine.at("parameters_in_blocks") ==
        nn::parameters(*student) - 2 * student->embed_tokens->weight.numel());
  CHECK(mine.at("base_parameters_in_blocks") ==
        nn::parameters(*base) - base->embed_tokens->weight.numel());
  CHECK(mine.at("perplexity").at("law").get<double>() > 1);
}

TEST_CASE("A student as large as its base is its base") {
  const Runs runs;
  const Report report = runs.run(runs.recipe({{"student",
                                               {{"num_hidden_layers", 5},
                                                {"num_key_value_heads", 2},
                                                {"intermediate_size", 48},
                                                {"hidden_size", 32},
                                                {"width", "channels"}}}}),
                                 "out");
  CHECK(report.json.at("student").at("perplexity").at("law").get<double>() ==
        Approx(report.json.at("before").at("domains").at(0).at("perplexity").get<double>())
            .epsilon(1e-6));
}

TEST_CASE("A student goes on as if it had not stopped") {
  const Runs runs;
  const Json recipe = runs.recipe({{"distillation", {{"teacher", runs.file("base")}}},
                                   {"quantisation", {{"scheme", "w8a8"}, {"start", 0.5}}}});
  const Report whole = runs.run(recipe, "whole"), part = runs.go_on(recipe, "whole", "part");
  CHECK(runs.column("whole", "loss") == runs.column("part", "loss"));
  CHECK(whole.json.at("student") == part.json.at("student"));
  CHECK(runs.open("whole/model")->config().quantised);
  const auto a = io::Checkpoint::open(runs.file("whole/model")),
             b = io::Checkpoint::open(runs.file("part/model"));
  REQUIRE(a.names() == b.names());
  for (const std::string& name : a.names()) CHECK(a.load(name).equal(b.load(name)));
}

TEST_CASE("cut_student keeps the blocks, heads and channels that matter") {
  const Runs runs;
  model::Decoder base = runs.open("base");
  {
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : base->base_tensors()) {
      if (name.find("layers.2.") != std::string::npos &&
          (name.find("o_proj") != std::string::npos ||
           name.find("down_proj") != std::string::npos)) {
        tensor.zero_();  // this block changes nothing
      }
    }
  }
  const Json config = io::Checkpoint::open(runs.file("base")).config();
  const std::vector<std::vector<int64_t>> documents = {{1, 2, 3, 4, 5, 6, 7}};
  const std::vector<model::DecoderInput> text = {model::make_input(documents, at::kCPU)};
  const at::NoGradGuard no_grad;
  const at::Tensor wanted = base->hidden(text[0]);
  StudentOptions options;
  options.num_hidden_layers = 4;
  model::PlainModel student = [&] {
    const at::AutoGradMode grad(true);
    return cut_student({base, config}, options, text);
  }();
  CHECK(student.decoder->layers.size() == 4);
  CHECK(at::allclose(student.decoder->hidden(text[0]), wanted));
}

TEST_CASE("Students that cannot be are refused by name") {
  const Runs runs;
  const auto refused = [&](const Json& changes, const char* what) {
    CHECK_THROWS_WITH(make_plan(runs.config(runs.student(runs.recipe(changes)))), Contains(what));
  };
  const auto sizes = [](const Json& sizes) { return Json{{"student", sizes}}; };
  refused(sizes({{"hidden_size", 33}}), "student/hidden_size: 33 cannot be cut from a base of 32");
  refused(sizes({{"num_hidden_layers", 6}}), "student/num_hidden_layers: 6 cannot");
  refused(sizes({{"intermediate_size", 49}}), "student/intermediate_size: 49 cannot");
  refused(sizes({{"num_key_value_heads", 2}, {"num_attention_heads", 3}}),
          "student/num_attention_heads: 3 query heads cannot be shared out");
  refused(sizes({{"hidden", 8}}), "student/hidden");
  refused({{"tuning", "lora"}}, "student: only with tuning full");
  refused({{"vocabulary", {{"new_tokens", 4}, {"domains", {"law"}}}}}, "in a run of its own");
  refused({{"model", nullptr}, {"architecture", {{"hidden_size", 8}}}}, "student: is cut from");
  Json none = runs.recipe();
  none["student"] = Json{{"calibration_tokens", 5}};
  CHECK_THROWS_WITH(runs.config(runs.student(none)), Contains("give at least one size"));
}

TEST_CASE("The plan is the student's") {
  const Runs runs;
  const auto parameters = [&](const Json& changes) {
    return make_plan(runs.config(runs.student(runs.recipe(changes)))).memory.weights;
  };
  CHECK(parameters(Json::object()) < parameters({{"student", nullptr}}));
}

}  // namespace
}  // namespace hone::run
