#include "hone/run/hidden_matching.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <map>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/loss/hidden_distance.h"
#include "hone/run/plan.h"
#include "run/distillation_fixture.h"
#include "run/run_fixture.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::run {
namespace {

using Catch::Contains;
using test::adapted, test::distilled, test::Runs, test::SmallRun;

model::DecoderConfig config_of(int64_t layers, Json changes = Json::object()) {
  Json json = model::test::small_config();
  json["num_hidden_layers"] = layers;
  json.update(changes);
  return model::DecoderConfig::from_json(json, "test");
}

TEST_CASE(
    "Layers are mapped evenly, the last to the last, or to those that a student was cut from") {
  using Map = std::map<int64_t, size_t>;
  CHECK(layer_map(config_of(3), config_of(6), 0) == Map{{0, 1}, {1, 3}, {2, 5}});
  CHECK(layer_map(config_of(3), config_of(3), 0) == Map{{0, 0}, {1, 1}, {2, 2}});
  CHECK(layer_map(config_of(2), config_of(7), 0) == Map{{0, 3}, {1, 6}});
  CHECK(layer_map(config_of(6), config_of(2), 0) ==
        Map{{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 1}, {5, 1}});
  CHECK(layer_map(config_of(3), config_of(6), 2) == Map{{1, 3}, {2, 5}});
  CHECK(layer_map(config_of(3), config_of(6), 9).size() == 3);
  const auto cut = model::DecoderConfig::from_json(test::pruned_config(), "test");
  CHECK(layer_map(cut, config_of(6), 0) == Map{{2, 2}, {3, 3}, {5, 5}});
  CHECK(layer_map(cut, cut, 0) == Map{{2, 0}, {3, 1}, {5, 2}});
  CHECK(layer_map(cut, config_of(4), 0) == Map{{2, 0}, {3, 2}, {5, 3}});  // no cut of that one
}

/// A teacher beside a run whose task it joins.
struct Beside {
  explicit Beside(const HiddenOptions& options, int64_t width = 32) {
    Json sizes = model::test::small_config();
    sizes["num_hidden_layers"] = 6;
    sizes["hidden_size"] = width;
    teacher = model::test::small_decoder(sizes);
    teacher->eval();
    matching.emplace(options, run.decoder, teacher, 7);
    recipe.steps = 10;
    recipe.lr = 0.1;
    matching->attach(task, recipe, *run.step);
  }
  /// Gradients of the student in a step; the loss that it shows.
  double backward(int64_t step) {
    run.decoder->zero_grad();
    task.before_step(step);
    const torch::NoGradGuard guard;
    teacher->hidden(input);
    const at::AutoGradMode grad(true);
    const loss::LossSum sum = run.step->loss(batch);
    sum.sum.backward();
    return sum.sum.item<double>();
  }
  at::Tensor gradient() const { return run.decoder->layers[0]->mlp->parameters()[0].grad(); }

  SmallRun run{model::test::small_config()};
  model::Decoder teacher{nullptr};
  train::TrainOptions recipe;
  train::Task task;
  std::optional<HiddenMatching> matching;
  data::Batch batch = run.loader->next();
  model::DecoderInput input = decoder_input(batch, at::kCPU);
};

/// The outputs of a decoder's blocks.
std::vector<at::Tensor> outputs(model::Decoder decoder, const model::DecoderInput& input) {
  std::vector<at::Tensor> all;
  decoder->set_observer("test", [&](size_t, const at::Tensor& x) { all.push_back(x); });
  decoder->hidden(input);
  decoder->set_observer("test", {});
  return all;
}

TEST_CASE(
    "The gradient is that of the mean distance, weighted as the loss, and nothing else shows") {
  const auto distance = GENERATE(loss::HiddenDistance::kCosine, loss::HiddenDistance::kMse);
  Beside with({.weight = 3, .distance = distance, .last = 2, .until = 0.5});
  const at::Tensor weights = torch::tensor(with.run.step->token_weights(with.batch), at::kFloat);
  CHECK(weights.sum().item<double>() == Approx(with.run.step->weight(with.batch)));
  const std::vector<at::Tensor> theirs = outputs(with.teacher, with.input);
  const auto expected = [&](double weight) {
    with.run.decoder->zero_grad();
    const std::vector<at::Tensor> mine = outputs(with.run.decoder, with.input);
    const at::Tensor beside = (loss::hidden_distance(distance, mine[1], {}, theirs[3], weights) +
                               loss::hidden_distance(distance, mine[2], {}, theirs[5], weights)) /
                              2;
    (beside * weight).backward();
    const at::Tensor of_beside = with.gradient().clone();
    with.matching->close(*with.run.step);
    with.run.decoder->zero_grad();
    with.run.step->loss(with.batch).sum.backward();
    return with.gradient() + of_beside;
  };
  const double shown = with.backward(2);
  const at::Tensor second = with.gradient().clone();
  const double late = with.backward(6);
  const at::Tensor sixth = with.gradient().clone();
  CHECK(shown == late);  // the loss is the text's own
  // Of 3, a fifth is gone in the second step; in the sixth, behind the half, nothing is left.
  CHECK(test::relative_difference(second, expected(2.4)) < 1e-5);
  CHECK(sixth.equal(with.gradient()));
}

TEST_CASE("Where widths differ, matrices learn to bridge them") {
  Beside with({.weight = 1, .distance = loss::HiddenDistance::kMse}, 16);
  double first = 0;
  for (int64_t step = 1; step <= 8; ++step) {
    with.backward(step);
    const double weight = with.run.step->weight(with.batch);
    with.task.after_step({.step = step, .lr = 0.05, .weight = weight});
    if (step == 1) first = *with.matching->mean();
  }
  const Json last = with.task.extra_metrics();
  CHECK(last.at("losses").at("hidden").get<double>() < 0.8 * first);  // the student stood still
}

TEST_CASE("Models of several streams are refused") {
  const auto student = model::test::small_decoder(model::test::v4_config());
  CHECK_THROWS_WITH(HiddenMatching({.weight = 1}, student, student, 1),
                    Contains("distillation.hidden: compares outputs"));
}

Json matched(Json hidden) {
  hidden["weight"] = hidden.value("weight", 0.5);
  return distilled({{"hidden", hidden}});
}

TEST_CASE("A run with matched layers goes on as if it had not stopped, blocks recomputed or not") {
  const Runs runs;
  runs.model("teacher", 5);  // of width 16, the student's is 24
  const Json recipe = matched({{"distance", "mse"}});
  const Report whole = runs.run(recipe, "whole");
  const Report again = runs.go_on(recipe, "whole", "part");
  CHECK(runs.head("whole").equal(runs.head("part")));
  CHECK(runs.column("whole", "losses") == runs.column("part", "losses"));
  CHECK(again.json.at("distillation") == whole.json.at("distillation"));
  CHECK(whole.json.at("distillation").at("hidden_distance").get<double>() > 0);
  Json recomputed = recipe;
  recomputed["memory"] = {{"checkpoint_every", 1}};
  runs.run(recomputed, "recomputed");
  CHECK(runs.head("whole").equal(runs.head("recomputed")));
  runs.run(Json::object(), "rows alone");
  CHECK_FALSE(runs.head("whole").equal(runs.head("rows alone")));
}

TEST_CASE("Layers of the run's own base keep its adapter near it") {
  const Runs runs;
  runs.model("teacher", 5);
  const Json recipe = adapted(runs, {{"distillation", {{"hidden", {{"weight", 1}}}}}});
  runs.run(recipe, "near");
  const std::vector<double> distances = runs.column("near", "losses");
  CHECK(std::abs(distances.front()) < 1e-6);
  CHECK(distances.back() > 1e-6);
}

TEST_CASE("What matched layers cannot do is refused, and what they take is planned") {
  const Runs runs;
  runs.model("teacher", 5);
  const auto refused = [&](const Json& changes, const char* what) {
    CHECK_THROWS_WITH(runs.config(runs.student(changes)), Contains(what));
  };
  refused(matched({{"weight", 0}, {"last", 2}}), "distillation/hidden/last: has no effect");
  Json cached = matched(Json::object());
  cached["distillation"].update({{"teacher", nullptr}, {"cache", "a"}});
  refused(cached, "distillation/hidden: a cache has no layers");
  const auto peak = [&](const Json& changes) {
    return make_plan(runs.config(runs.student(changes))).memory.peak;
  };
  // A layer of 64 tokens: the teacher's output and four wide copies; a projection of width 24 to
  // 16, its gradient and moments.
  CHECK(peak(matched(Json::object())) - peak(Json::object()) == 64 * 16 * (4 + 16) + 16 * 24 * 16);
}

}  // namespace
}  // namespace hone::run
