#include "hone/run/cache_teacher.h"

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/io/tensors.h"
#include "hone/run/model_folder.h"
#include "hone/run/plan.h"
#include "hone/run/teacher_cache.h"
#include "run/distillation_fixture.h"
#include "support/catch.h"

namespace hone::run {
namespace {

using Catch::Contains;
using test::distilled, test::Runs;

struct Cached : Runs {
  Cached() { model("teacher", 5, at::kFloat, unpadded()); }

  /// Embeddings with as many rows as there are tokens: of others a cache knows nothing.
  static Json unpadded() { return {{"architecture", {{"vocab_multiple", 1}}}}; }

  int64_t vocabulary() const {
    return open_tokenizer(ModelFolders::find(file("teacher"))).tokenizer.vocab_size();
  }
  /// Writes the cache of the teacher's `top_k` tokens, a document a shard.
  Json cache(const std::string& name, int64_t top_k) const {
    return cache_teacher(config(student(distilled({{"top_k", top_k}}))), file(name), 1).json;
  }
  /// Changes of a recipe that learns from it.
  Json learning(const std::string& name, Json options = Json::object()) const {
    options["teacher"] = nullptr;
    options["cache"] = file(name);
    return distilled(options);
  }
};

TEST_CASE("A student of a cache of all tokens learns as from the teacher itself") {
  const Cached runs;
  runs.cache("cache", runs.vocabulary());
  const Json options = GENERATE(Json{{"share", 0.4}}, Json{{"divergence", "reverse_kl"}},
                                Json{{"divergence", "jsd"}, {"beta", 0.2}});
  const auto run = [&](Json changes, const char* out) {
    changes.merge_patch(Cached::unpadded());
    changes["data"]["tokens_per_batch"] = 24;  // other batches than the cache was written in
    return runs.run(changes, out);
  };
  run(distilled(options), "teacher run");
  const Report report = run(runs.learning("cache", options), "cached run");
  for (const char* name : {"loss", "divergence"}) {
    const auto mine = runs.column("cached run", name), theirs = runs.column("teacher run", name);
    REQUIRE(mine.size() == 4);
    for (size_t i = 0; i < mine.size(); ++i) CHECK(mine[i] == Approx(theirs[i]).margin(1e-6));
  }
  CHECK(at::allclose(runs.head("cached run"), runs.head("teacher run"), 1e-4, 1e-6));
  const Json& mine = report.json.at("distillation");
  CHECK(mine.at("teacher") == runs.file("teacher"));
  CHECK(mine.at("cache") == runs.file("cache"));
  CHECK_FALSE(mine.contains("teacher_perplexity"));
}

TEST_CASE("A cache says how much of the teacher it keeps") {
  const Cached runs;
  const Json few = runs.cache("few", 4).at("statistics");
  const Json all = runs.cache("all", runs.vocabulary()).at("statistics");
  CHECK(all.at("kept_mass") == 1);
  CHECK(few.at("kept_mass").get<double>() > 0);
  CHECK(few.at("kept_mass").get<double>() < 0.5);  // of weights that have learnt nothing
  CHECK(few.at("entropy") == all.at("entropy"));
  CHECK(few.at("agreement") == all.at("agreement"));
  CHECK(few.at("documents") == 3);
  // By the definition, over the rows of the shards of all tokens.
  double entropy = 0;
  int64_t targets = 0;
  for (const char* name : {"0", "1", "2"}) {
    const io::Safetensors file(runs.file("all/rows-0000") + name + ".safetensors");
    const at::Tensor ln_p = io::read_tensor(file, "log_probs").to(at::kDouble);
    entropy -= (ln_p.exp() * ln_p).sum().item<double>();
    targets += ln_p.size(0);
    CHECK(io::read_tensor(file, "ids")
              .slice(1, 0, 4)
              .equal(io::read_tensor(
                  io::Safetensors(runs.file("few/rows-0000") + name + ".safetensors"), "ids")));
  }
  CHECK(few.at("targets") == targets);
  CHECK(all.at("entropy").get<double>() ==
        Approx(entropy / static_cast<double>(targets)).epsilon(1e-5));
}

TEST_CASE("A cache that was stopped is gone on with to the byte") {
  const Cached runs;
  runs.cache("whole", 4);
  runs.cache("part", 4);
  std::filesystem::remove(runs.file("part/rows-00001.safetensors"));
  std::filesystem::remove(runs.file("part/teacher_cache.json"));
  CHECK_THROWS_WITH(make_plan(runs.config(runs.student(runs.learning("part")))),
                    Contains("holds no finished cache of a teacher"));
  runs.cache("part", 4);
  for (const auto& file : std::filesystem::directory_iterator(runs.file("whole"))) {
    const std::string name = file.path().filename();
    CHECK(read_file(file.path()) == read_file(runs.file("part/" + name)));
  }
}

TEST_CASE("A run that learns from a cache goes on as if it had not stopped") {
  const Cached runs;
  runs.cache("cache", 4);
  const Json recipe = runs.learning("cache");
  runs.run(recipe, "whole");
  runs.go_on(recipe, "whole", "part");
  CHECK(runs.head("whole").equal(runs.head("part")));
  CHECK(runs.column("whole", "divergence") == runs.column("part", "divergence"));
}

TEST_CASE("A cache of something else is refused") {
  const Cached runs;
  runs.cache("cache", 4);
  CHECK_THROWS_WITH(runs.cache("cache", 5),
                    Contains("is of another teacher, tokenizer, top_k, compute or text"));
  Json otherwise = runs.student(distilled({{"top_k", 4}}));
  otherwise["compute"] = "bfloat16_products";
  CHECK_THROWS_WITH(cache_teacher(runs.config(otherwise), runs.file("cache"), 1),
                    Contains("compute or text"));
  CHECK_THROWS_WITH(runs.cache("over", runs.vocabulary() + 1),
                    Contains("distillation.top_k: must be at most the vocabulary's"));
  const auto learn = [&](const Json& changes) {
    Json recipe = runs.learning("cache");
    recipe.merge_patch(changes);
    return runs.student(recipe);
  };
  const auto run = [&](const Json& recipe) {
    return execute(runs.config(recipe), {.app = "hone-domain", .out = runs.file("out")});
  };
  Json other = learn(Json::object());
  other["data"]["train"] = {
      {{"files", {runs.texts("zoo.jsonl", {"zebras graze"})}}, {"domain", "law"}}};
  CHECK_THROWS_WITH(run(other), Contains("has no rows for 1 of 1 documents of the data set"));
  Json tokens = learn(Json::object());
  tokens["tokenizer"] = {{"vocab_size", 300}};
  tokens["data"]["train"] = other["data"]["train"];
  CHECK_THROWS_WITH(make_plan(runs.config(tokens)), Contains("with another tokenizer"));

  const auto refused = [&](const Json& changes, const char* what) {
    CHECK_THROWS_WITH(runs.config(learn(changes)), Contains(what));
  };
  refused(distilled({{"teacher", "runs/a"}}), "give either a teacher or a cache");
  refused(distilled({{"cache", nullptr}}), "give either a teacher or a cache");
  refused(distilled({{"temperature", 2}}), "distillation/temperature: must be 1 with a cache");
  refused(distilled({{"top_k", 2}}), "has no effect with a cache");
  refused({{"data", {{"augmentation", {{"word_dropout", {{"rate", 0.1}}}}}}}},
          "distillation/cache: has no rows for text that data.augmentation changes");
  const auto not_cached = [&](const Json& changes, const char* what) {
    CHECK_THROWS_WITH(cache_teacher(runs.config(runs.student(changes)), runs.file("none")),
                      Contains(what));
  };
  not_cached({{"distillation", nullptr}}, "/distillation/teacher: must be the folder");
  not_cached(runs.learning("cache"), "/distillation/teacher: must be the folder");
  CHECK_FALSE(std::filesystem::exists(runs.file("none")));
}

TEST_CASE("A plan counts the rows of a cache") {
  const Cached runs;
  runs.cache("cache", 4);
  const auto peak = [&](const Json& changes) {
    return make_plan(runs.config(runs.student(changes))).memory.peak;
  };
  // Of 64 tokens four ids of 8 bytes and logarithms of 4; a chunk of gradients and three copies.
  CHECK(peak(runs.learning("cache")) - peak({{"distillation", nullptr}}) ==
        64 * 4 * 12 + 4 * 64 * runs.vocabulary() * 4);
}

}  // namespace
}  // namespace hone::run
