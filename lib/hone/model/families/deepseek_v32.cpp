// DeepSeek-V3.2 and V3.2-Exp: DeepSeek-V3 whose queries see the positions that an indexer chooses.
#include <fmt/format.h>

#include "hone/model/families/latent.h"

namespace hone::model {
namespace {

class DeepSeekV32 final : public LatentFamily {
  std::vector<const char*> names() const override { return {"deepseek_v32"}; }
  const char* architecture() const override { return "DeepseekV32ForCausalLM"; }
  bool quantises() const override { return false; }

  const char* needs_weights() const override {
    return "deepseek_v32 needs weights: its indexer learns what the attention of a trained model "
           "looks at, and would choose at random before; begin with deepseek_v3";
  }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    SparseOptions own = read_v3(keys, config);
    if (own.mla.query_rank == 0) {
      keys.problem("q_lora_rank", "must be a width: the indexer's queries come out of it too");
    }
    own.mla.index = {.heads = keys.required_integer("index_n_heads", 1, kMaxHeads),
                     .width = keys.required_integer("index_head_dim", 1, 1 << 14),
                     .chosen = keys.required_integer("index_topk", 1, 1 << 30)};
    if (own.mla.index.width < own.mla.rotary) {
      keys.problem("index_head_dim", fmt::format("must be at least qk_rope_head_dim {}, got {}",
                                                 own.mla.rotary, own.mla.index.width));
    }
    check_types(keys, own.sparse, config.num_hidden_layers);
    config.own = own;
  }

  void keep_layers(Json& json, const std::vector<int64_t>& left,
                   const DecoderConfig& config) const override {
    LatentFamily::keep_layers(json, left, config);
    json.erase("mlp_layer_types");  // first_k_dense_replace says it
  }

  /// mlp_layer_types, by which transformers goes where it is given, must say what other keys do.
  static void check_types(Keys& keys, const std::vector<bool>& sparse, int64_t layers) {
    const Json* types = keys.find("mlp_layer_types");
    if (!types) return;
    Json wanted = Json::array();
    for (int64_t i = 0; i < layers; ++i) wanted.push_back(sparse[i] ? "sparse" : "dense");
    if (*types != wanted) {
      keys.problem("mlp_layer_types", "must say what first_k_dense_replace and moe_layer_freq do");
    }
  }
};

}  // namespace

const Family& deepseek_v32() {
  static const DeepSeekV32 family;
  return family;
}

}  // namespace hone::model
