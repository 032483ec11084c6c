#include "hone/run/base.h"

#include <torch/types.h>

#include <filesystem>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/model/adapter.h"
#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

namespace {

/// The base's weights, all in one row.
at::Tensor weights(const Base& base) {
  std::vector<at::Tensor> rows;
  for (const at::Tensor& parameter : base.decoder->parameters()) {
    rows.push_back(parameter.detach().flatten());
  }
  return at::cat(rows);
}

/// An adapter folder for the model of the recipe, that changes what the model computes.
void write_adapter(const Config& config, const std::string& folder, const std::string& base_name) {
  Base base = load_base(config, make_tokenizer(config).text, {});
  model::add_lora(base.decoder, {.rank = 2, .alpha = 4}, 1);
  io::AdapterFiles files = model::adapter_files(base.decoder, base_name);
  for (auto& [name, tensor] : files.tensors) tensor = at::full_like(tensor, 0.25);
  std::filesystem::create_directories(folder);
  io::write_adapter(folder, files);
}

}  // namespace

TEST_CASE("A model from nothing is drawn from the recipe's seed") {
  const test::RecipeFolder folder;
  const auto drawn = [&](int64_t seed) {
    const Config config = folder.config({{"seed", seed}});
    return load_base(config, make_tokenizer(config).text, {});
  };
  const Base base = drawn(3);
  CHECK(base.name == "");
  CHECK(base.weights_hash == "");
  CHECK_FALSE(base.shared);
  CHECK_FALSE(base.changed);
  CHECK(base.types.empty());
  CHECK(torch::equal(weights(base), weights(drawn(3))));
  CHECK_FALSE(torch::equal(weights(base), weights(drawn(4))));
  CHECK(base.config.at("vocab_size") == base.decoder->config().vocab_size);
}

TEST_CASE("A checkpoint folder is loaded with its name, hash and types") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base", 3);
  const Config config = folder.config_of(model + "/../base/.");
  const auto text = text::TokenizerFolder::load(model);
  const Base base = load_base(config, text, {});
  CHECK(base.name == std::filesystem::canonical(model).string());
  CHECK_FALSE(base.weights_hash.empty());
  CHECK(base.types.at("lm_head.weight") == at::kFloat);
  CHECK(base_config(config, text) == base.config);
  const Config from_nothing = folder.config({{"seed", 3}});
  CHECK(torch::equal(weights(base),
                     weights(load_base(from_nothing, make_tokenizer(from_nothing).text, {}))));
  folder.model("other", 4);
  CHECK(load_base(folder.config_of(folder.file("other")), text, {}).weights_hash !=
        base.weights_hash);
}

TEST_CASE("The config of a base is known before it is loaded") {
  const test::RecipeFolder folder;
  const Config config = folder.config({{"architecture", {{"vocab_multiple", 1}}}});
  const RunTokenizer tokenizer = make_tokenizer(config);
  const Json made = base_config(config, tokenizer.text);
  CHECK(made.at("vocab_size") == tokenizer.text.tokenizer.vocab_size());
  CHECK(made.at("bos_token_id") == *tokenizer.text.bos_id);
  CHECK(made.at("eos_token_id") == *tokenizer.text.eos_id);
  CHECK_THROWS_AS(base_config(folder.config_of(folder.file("nothing")), tokenizer.text), IoError);
}

TEST_CASE("A tokenizer with ids beyond the embedding is refused; as many as rows are fine") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base");
  const Config config = folder.config_of(model);
  text::TokenizerFolder text = text::TokenizerFolder::load(model);
  const int64_t rows = load_base(config, text, {}).decoder->config().vocab_size;
  const auto grow_to = [&](int64_t size) {
    Json json = text.tokenizer.json();
    for (int64_t id = text.tokenizer.vocab_size(); id < size; ++id) {
      json["added_tokens"].push_back({{"id", id},
                                      {"content", "<x" + std::to_string(id) + ">"},
                                      {"single_word", false},
                                      {"lstrip", false},
                                      {"rstrip", false},
                                      {"normalized", false},
                                      {"special", true}});
    }
    text.tokenizer = text::Tokenizer::from_json(std::move(json), "grown");
  };
  grow_to(rows);
  CHECK_NOTHROW(load_base(config, text, {}));
  grow_to(rows + 1);
  CHECK_THROWS_WITH(load_base(config, text, {}),
                    "grown: the tokenizer has ids up to " + std::to_string(rows) +
                        ", but the embedding only " + std::to_string(rows) + " rows");
}

TEST_CASE("An adapter is put on the base, or worked into it") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base"), adapter = folder.file("adapter");
  const auto text = text::TokenizerFolder::load(model);
  write_adapter(folder.config_of(model), adapter, "elsewhere");
  const auto with = [&](const Json& lora) {
    return load_base(folder.config_of(model, {{"tuning", "lora"}, {"lora", lora}}), text, {});
  };
  const Base plain = load_base(folder.config_of(model), text, {});
  const Base on = with({{"from", adapter}});
  CHECK(model::has_adapter(on.decoder));
  CHECK(on.decoder->adapter()->rank == 2);
  CHECK_FALSE(on.changed);
  CHECK_FALSE(on.adapter_types.empty());
  CHECK(on.weights_hash != plain.weights_hash);

  const Base merged = with({{"from", adapter}, {"merge_first", true}});
  CHECK_FALSE(model::has_adapter(merged.decoder));
  CHECK(merged.changed);
  CHECK(merged.adapter_types.empty());
  CHECK_FALSE(torch::equal(weights(merged), weights(plain)));
}

TEST_CASE("An adapter of another base is refused, with the base that it names") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base"), adapter = folder.file("adapter");
  write_adapter(folder.config({{"architecture", {{"hidden_size", 32}}}}), adapter, "llama-7b");
  const Config config =
      folder.config_of(model, {{"tuning", "lora"}, {"lora", {{"from", adapter}}}});
  CHECK_THROWS_WITH(load_base(config, text::TokenizerFolder::load(model), {}),
                    Catch::StartsWith(adapter + ": does not fit the model: ") &&
                        Catch::EndsWith("; its base is llama-7b, that of the recipe " +
                                        std::filesystem::canonical(model).string()));
}

TEST_CASE("The adapter that is trained is the recipe's, or the one that it goes on with") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base"), adapter = folder.file("adapter");
  write_adapter(folder.config_of(model), adapter, model);
  const auto rank = [&](const Json& lora) {
    return adapter_of(folder.config_of(model, {{"tuning", "lora"}, {"lora", lora}})).options.rank;
  };
  CHECK(rank({{"rank", 7}}) == 7);
  CHECK(rank({{"from", adapter}}) == 2);
  CHECK(rank({{"from", adapter}, {"merge_first", true}, {"rank", 7}}) == 7);
  CHECK_THROWS_AS(rank({{"from", folder.file("nothing")}}), IoError);
}
