/// A folder with text, recipes over it, and a checkpoint folder that they can start from.
#pragma once
#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "hone/model/checkpoint.h"
#include "hone/run/base.h"
#include "hone/run/config.h"
#include "hone/run/config_json.h"
#include "hone/run/tokenizer.h"
#include "support/temporary_folder.h"

namespace hone::test {

/// Keys of `architecture` that make a small model one of DeepSeek-V3's shape: eight experts in each
/// layer but the first.
inline Json expert_architecture() {
  return {{"model_type", "deepseek_v3"}, {"kv_lora_rank", 8},     {"qk_nope_head_dim", 6},
          {"qk_rope_head_dim", 4},       {"v_head_dim", 6},       {"n_routed_experts", 8},
          {"num_experts_per_tok", 2},    {"n_shared_experts", 1}, {"moe_intermediate_size", 12},
          {"first_k_dense_replace", 1},  {"n_group", 1},          {"topk_group", 1},
          {"routed_scaling_factor", 1.5}};
}

struct RecipeFolder : TemporaryFolder {
  std::string file(const std::string& name) const { return path + "/" + name; }
  std::string write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(file(name)).parent_path());
    std::ofstream(file(name)) << content;
    return file(name);
  }
  /// A JSONL file of texts.
  std::string texts(const std::string& name, const std::vector<std::string>& list) const {
    std::string rows;
    for (const std::string& text : list) rows += Json{{"text", text}}.dump() + "\n";
    return write(name, rows);
  }

  /// A small recipe without weights over recipe.jsonl, with `changes` merged in (RFC 7396: null
  /// takes a key away).
  run::Config config(const Json& changes = Json::object()) const {
    const std::string law =
        texts("recipe.jsonl", {"the court hears the plaintiff", "the court rests",
                               "a plaintiff may appeal to the court"});
    Json recipe = {{"about", "a test"},
                   {"architecture",
                    {{"hidden_size", 16},
                     {"intermediate_size", 16},
                     {"num_hidden_layers", 2},
                     {"num_attention_heads", 2},
                     {"max_position_embeddings", 64}}},
                   {"tokenizer", {{"vocab_size", 300}}},
                   {"data", {{"train", {{{"files", {law}}, {"domain", "law"}}}}}}};
    recipe.merge_patch(changes);
    return config::read_config<run::Config>(recipe);
  }
  /// Such a recipe that starts from the checkpoint folder `model`.
  run::Config config_of(const std::string& model, Json changes = Json::object()) const {
    changes["model"] = model;
    changes["architecture"] = changes["tokenizer"] = nullptr;
    return config(changes);
  }

  /// The checkpoint folder of such a model, its weights drawn from `seed`, in this type.
  std::string model(const std::string& name, int64_t seed = 0, at::ScalarType type = at::kFloat,
                    Json changes = Json::object()) const {
    changes["seed"] = seed;
    const run::Config recipe = config(changes);
    const run::RunTokenizer tokenizer = run::make_tokenizer(recipe);
    run::Base base = run::load_base(recipe, tokenizer.text, {at::kCPU, type});
    run::write_tokenizer(tokenizer, file(name + ".tokenizer"));
    model::save_decoder(file(name), base.decoder, base.config,
                        {.source_folder = file(name + ".tokenizer")});
    return file(name);
  }
};

}  // namespace hone::test
