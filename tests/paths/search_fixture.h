/// A search over a small recipe with held-out text.
#pragma once
#include <string>

#include "hone/paths/static/config.h"
#include "hone/run/config_json.h"
#include "run/recipe_fixture.h"

namespace hone::test {

struct SearchFolder : RecipeFolder {
  std::string train = texts("train.jsonl", {"the court hears the plaintiff", "the court rests"});
  std::string held = texts("held.jsonl", {"a plaintiff is heard"});

  /// The search's JSON with `changes` merged in (RFC 7396).
  Json json(const Json& changes = Json::object()) const {
    Json whole = {{"about", "x"},
                  {"base",
                   {{"about", "x"},
                    {"architecture",
                     {{"hidden_size", 16},
                      {"intermediate_size", 16},
                      {"num_hidden_layers", 1},
                      {"num_attention_heads", 2},
                      {"max_position_embeddings", 64}}},
                    {"tokenizer", {{"vocab_size", 300}}},
                    {"device", "cpu"},
                    {"threads", 1},
                    {"data",
                     {{"train", {{{"files", {train}}, {"domain", "law"}}}},
                      {"held_out", {{{"files", {held}}, {"domain", "law"}}}},
                      {"tokens_per_batch", 64}}},
                    {"train", {{"steps", 4}, {"eval_every", 2}}}}},
                  {"space", {{"/train/lr", {{"low", 1e-5}, {"high", 1e-2}, {"log", true}}}}}};
    whole.merge_patch(changes);
    return whole;
  }
  paths::StaticConfig search(const Json& changes = Json::object()) const {
    return config::read_config<paths::StaticConfig>(json(changes));
  }
};

}  // namespace hone::test
