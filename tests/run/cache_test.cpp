#include "hone/run/cache.h"

#include <torch/types.h>

#include <stdexcept>

#include "hone/core/error.h"
#include "hone/run/data.h"
#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

namespace {

const Json kLora = {{"tuning", "lora"}, {"lora", {{"rank", 2}}}};

}  // namespace

TEST_CASE("Recipes of one tokenizer share it, and others do not") {
  const test::RecipeFolder folder;
  Cache cache;
  const Config config = folder.config();
  const RunTokenizer first = cache.tokenizer(config);
  CHECK_FALSE(first.key.empty());
  CHECK(&cache.tokenizer(folder.config({{"train", {{"lr", 0.5}}}})).text.tokenizer.json() ==
        &first.text.tokenizer.json());
  CHECK(cache.tokenizer(folder.config({{"tokenizer", {{"vocab_size", 305}}}})).key != first.key);
  // One that is trained on other text is another.
  const std::string more = folder.texts("more.jsonl", {"other words"});
  CHECK(cache
            .tokenizer(
                folder.config({{"data", {{"train", {{{"files", {more}}, {"domain", "law"}}}}}}}))
            .key != first.key);
}

TEST_CASE("A data set is read once for all that read it alike") {
  const test::RecipeFolder folder;
  Cache cache;
  const auto load = [&](const Json& changes) {
    const Config config = folder.config(changes);
    return load_data(config, cache.tokenizer(config), cache).train[0];
  };
  const auto tokens = [](int64_t count) { return Json{{"data", {{"tokens_per_batch", count}}}}; };
  const auto whole = load(tokens(60));
  CHECK(load(tokens(60)) == whole);
  CHECK(load({{"data", {{"tokens_per_batch", 60}}}, {"train", {{"lr", 0.5}}}}) == whole);
  CHECK(load(tokens(50)) == whole);  // no document is that long
  const auto cut = load(tokens(4));
  CHECK(cut != whole);
  CHECK(load(tokens(4)) == cut);
  CHECK(load(tokens(5)) != cut);  // what was cut may be longer now
  CHECK(load({{"data", {{"tokens_per_batch", 60}}},
              {"weights", {{"entity_terms", {"court"}}, {"entity_multiplier", 2}}}}) != whole);
}

TEST_CASE("A grown tokenizer's data set is kept by nobody") {
  const test::RecipeFolder folder;
  Cache cache;
  const Config config = folder.config();
  RunTokenizer tokenizer = cache.tokenizer(config);
  tokenizer.grown = true;
  const data::DatasetOptions set = config.data.train_sets().at(0);
  CHECK(cache.dataset(set, tokenizer, {}, nullptr) != cache.dataset(set, tokenizer, {}, nullptr));
}

TEST_CASE("Runs that leave the base alone share one decoder, one after another") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base");
  const auto text = text::TokenizerFolder::load(model);
  Cache cache;
  const Config lora = folder.config_of(model, kLora), full = folder.config_of(model);
  Base base = cache.base(lora, text, {});
  CHECK(base.shared);
  const auto* decoder = base.decoder.get();
  CHECK(cache.base(lora, text, {}).decoder.get() != decoder);  // it is in use
  cache.release(std::move(base));
  const Base trained = cache.base(full, text, {});
  CHECK_FALSE(trained.shared);
  CHECK(trained.decoder.get() != decoder);
  CHECK(cache.base(lora, text, {}).decoder.get() == decoder);
}

TEST_CASE("A base that a run may change is nobody else's") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base");
  const auto text = text::TokenizerFolder::load(model);
  Cache cache;
  Json growing = kLora, saved = kLora;
  growing["vocabulary"] = {{"new_terms", 3}, {"domains", {"law"}}};
  saved["lora"]["modules_to_save"] = {"lm_head"};
  CHECK_FALSE(cache.base(folder.config_of(model, growing), text, {}).shared);
  CHECK_FALSE(cache.base(folder.config_of(model, saved), text, {}).shared);
  CHECK_FALSE(cache.base(folder.config(), cache.tokenizer(folder.config()).text, {}).shared);
  Base own = cache.base(folder.config_of(model), text, {});
  const model::Decoder decoder = own.decoder;
  cache.release(std::move(own));
  CHECK(cache.base(folder.config_of(model, kLora), text, {}).decoder.get() != decoder.get());
}

TEST_CASE("The base's scores are computed once for what they depend on") {
  const test::RecipeFolder folder;
  Cache cache;
  int64_t scored = 0;
  const auto score = [&](const Json& changes) {
    return cache
        .base_scores(folder.config(changes), [&] { return train::Evaluation{++scored, {}}; })
        .step;
  };
  CHECK(score(Json::object()) == 1);
  CHECK(score(Json::object()) == 1);
  CHECK(score({{"train", {{"lr", 0.5}}}}) == 1);
  CHECK(score({{"seed", 5}}) == 2);  // other weights
  CHECK(score({{"data", {{"tokens_per_batch", 60}}}}) == 3);
  CHECK(score({{"architecture", {{"num_hidden_layers", 1}}}}) == 4);
  CHECK(score(Json::object()) == 1);
  const std::string held = folder.texts("held.jsonl", {"the court"});
  CHECK(score({{"data", {{"held_out", {{{"files", {held}}, {"domain", "law"}}}}}}}) == 5);
}

TEST_CASE("Scores that could not be computed are not kept") {
  const test::RecipeFolder folder;
  Cache cache;
  const Config config = folder.config();
  CHECK_THROWS_WITH(
      cache.base_scores(config, []() -> train::Evaluation { throw std::runtime_error("stop"); }),
      "stop");
  CHECK(cache.base_scores(config, [] { return train::Evaluation{7, {}}; }).step == 7);
}
