#include "hone/run/data.h"

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

namespace {

/// What check_files says against a recipe; "" if nothing.
std::string problems(const Config& config) {
  try {
    check_files(config);
    return "";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

/// Two domains trained on, a third scored.
struct ThreeDomains : test::RecipeFolder {
  Json sets() const {
    return {
        {"train",
         {{{"files", {texts("general.jsonl", {"all sorts of text", "of every kind"})}},
           {"domain", "general"}},
          {{"files", {texts("law.jsonl", {"the court hears the plaintiff"})}}, {"domain", "law"}}}},
        {"held_out",
         {{{"files", {texts("held.jsonl", {"a plaintiff is heard", "the court"})}},
           {"domain", "medicine"}}}},
        {"tokens_per_batch", 48}};
  }
  Config with(const Json& changes = Json::object()) const {
    Json all = {{"data", sets()}};
    all.merge_patch(changes);
    return config(all);
  }
};

}  // namespace

TEST_CASE("Every file that is not there is named by its place, all at once") {
  const test::RecipeFolder folder;
  CHECK(problems(folder.config()) == "");
  const std::string here = folder.texts("here.jsonl", {"a"});
  const std::string text = problems(
      folder.config({{"data",
                      {{"train",
                        {{{"files", {here, "/no/a.jsonl"}}, {"domain", "law"}},
                         {{"files", {"/no/b.jsonl"}}, {"domain", "law"}, {"name", "b"}}}},
                       {"held_out", {{{"files", {"/no/c.jsonl"}}, {"domain", "law"}}}}}},
                     {"weights", {{"entity_file", "/no/entities"}, {"entity_multiplier", 2}}},
                     {"vocabulary", {{"new_terms", 5}, {"terms_file", "/no/terms"}}}}));
  CHECK(text ==
        "/data/train/0/files/1: there is no file /no/a.jsonl\n"
        "/data/train/1/files/0: there is no file /no/b.jsonl\n"
        "/data/held_out/0/files/0: there is no file /no/c.jsonl\n"
        "/weights/entity_file: there is no file /no/entities\n"
        "/vocabulary/terms_file: there is no file /no/terms");
}

TEST_CASE("A model or adapter that is not there is said before anything is read") {
  const test::RecipeFolder folder;
  CHECK_THAT(problems(folder.config_of("./no/model")),
             Catch::StartsWith("/model: ") && Catch::Contains("no/model"));
  const std::string model = folder.model("base");
  CHECK(problems(folder.config_of(model)) == "");
  CHECK(problems(
            folder.config_of(model, {{"tuning", "lora"}, {"lora", {{"from", "/no/adapter"}}}})) ==
        "/lora/from: there is no file /no/adapter/adapter_config.json");
}

TEST_CASE("Positions are the architecture's, or the model's") {
  const test::RecipeFolder folder;
  CHECK(position_limit(folder.config({{"architecture", {{"max_position_embeddings", 40}}}})) == 40);
  CHECK(position_limit(folder.config_of(folder.model("base"))) == 64);
}

TEST_CASE("Texts of several sets come one after another") {
  const ThreeDomains folder;
  CHECK(read_texts(folder.with().data.train_sets()) ==
        std::vector<std::string>{"all sorts of text", "of every kind",
                                 "the court hears the plaintiff"});
  CHECK(read_texts({}).empty());
}

TEST_CASE("Data sets carry the number of their domain; scored ones come after those trained on") {
  const ThreeDomains folder;
  const Config config = folder.with();
  Cache cache;
  const Data data = load_data(config, cache.tokenizer(config), cache);
  CHECK(data.domains == std::vector<std::string>{"general", "law", "medicine"});
  REQUIRE(data.train.size() == 2);
  REQUIRE(data.held_out.size() == 1);
  CHECK(data.train[0]->examples.size() == 2);
  CHECK(data.train[0]->examples.at(0).domain == 0);
  CHECK(data.train[1]->examples.at(0).domain == 1);
  CHECK(data.held_out[0]->examples.at(0).domain == 2);

  const Json json = data.json();
  CHECK(json.at("train")[1].at("name") == "law");
  CHECK(json.at("train")[1].at("hash") == data.train[1]->hash);
  CHECK(json.at("train")[0].at("counts").at("documents") == 2);
  CHECK(json.at("held_out")[0].at("domain") == "medicine");
}

TEST_CASE("A set whose domain weighs nothing is left out of the mix, and that is said") {
  const ThreeDomains folder;
  const Config config = folder.with({{"weights", {{"domains", {{"law", 0.0}}}}}});
  std::string log;
  set_log_sink([&](LogLevel, std::string_view line) { log += std::string(line) + "\n"; });
  Cache cache;
  const Data data = load_data(config, cache.tokenizer(config), cache);
  set_log_sink({});
  CHECK(data.train[0]->weight == 1);
  CHECK(data.train[1]->weight == 0);
  CHECK_THAT(log, Catch::Contains("data set \"law\" is left out: its domain law has weight 0"));
  CHECK(domain_weights(config.weights, data.domains) == std::vector<double>{1, 0, 1});
}

TEST_CASE("Documents are cut at the model's positions unless the recipe goes beyond") {
  const test::RecipeFolder folder;
  std::string words;
  for (int i = 0; i < 200; ++i) words += "court ";
  const auto longest = [&](const Json& data, std::string* log) {
    Json changes = {
        {"architecture", {{"max_position_embeddings", 16}}},
        {"data",
         {{"train", {{{"files", {folder.texts("long.jsonl", {words})}}, {"domain", "law"}}}},
          {"tokens_per_batch", 40}}}};
    changes.merge_patch({{"data", data}});
    const Config config = folder.config(changes);
    Cache cache;
    set_log_sink([&](LogLevel, std::string_view line) { *log += line; });
    const Data loaded = load_data(config, cache.tokenizer(config), cache);
    set_log_sink({});
    int64_t most = 0;
    for (const auto& example : loaded.train[0]->examples) most = std::max(most, example.length());
    return most;
  };
  std::string within, beyond;
  CHECK(longest(Json::object(), &within) <= 16);
  CHECK(within.find("over the model's") == std::string::npos);
  CHECK(longest({{"beyond_positions", true}}, &beyond) == 40);
  CHECK(beyond.find("its longest document has 40 tokens, over the model's 16 positions") !=
        std::string::npos);
}

TEST_CASE("Held-out text is scored in batches, per token of the base's tokenizer") {
  const ThreeDomains folder;
  const Config config = folder.with();
  Cache cache;
  const RunTokenizer tokenizer = cache.tokenizer(config);
  const auto held_out = load_held_out(config, tokenizer, cache);
  auto base = std::make_shared<data::Dataset>(*held_out[0]);
  base->counts.trained = 77;
  const auto sets = evaluation_sets(held_out, {base}, 1000);
  REQUIRE(sets.size() == 1);
  CHECK(sets[0].name == "held");
  CHECK(sets[0].domain == "medicine");
  CHECK(sets[0].base_tokens == 77);
  REQUIRE(sets[0].batches.size() == 1);
  CHECK(sets[0].batches[0].trained() == held_out[0]->counts.trained);
  CHECK(evaluation_sets(held_out, {base}, 2).at(0).batches.size() == 2);  // a document each
}
