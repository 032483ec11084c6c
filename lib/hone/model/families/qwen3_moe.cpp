// Qwen3 with experts: Qwen3-30B-A3B and its like.
#include <algorithm>

#include "hone/model/families/sparse.h"

namespace hone::model {
namespace {

class Qwen3Moe final : public SparseFamily {
  std::vector<const char*> names() const override { return {"qwen3_moe"}; }
  const char* architecture() const override { return "Qwen3MoeForCausalLM"; }

  std::vector<std::string> own_keys() const override {
    return {"num_experts", "num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob"};
  }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    require(keys, "num_key_value_heads");
    config.qkv_bias = config.output_bias = keys.flag("attention_bias").value_or(false);
    config.qk_norm = true;
    refuse_window(keys, config);
    SparseOptions own;
    nn::RouterOptions& router = own.experts.router;
    router.dim = config.hidden_size;
    // As released, or as transformers writes it since version 5.
    const char* count = keys.find("num_local_experts") ? "num_local_experts" : "num_experts";
    router.experts = keys.required_integer(count, 1, 1 << 16);
    router.chosen = keys.required_integer("num_experts_per_tok", 1, 1 << 16);
    router.normalise = keys.flag("norm_topk_prob").value_or(false);
    own.experts.hidden = keys.required_integer("moe_intermediate_size", 1, kMaxWidth);
    check_choice(keys, router, config);
    const int64_t step = keys.integer("decoder_sparse_step", 1, 100000).value_or(1);
    const auto dense = keys.integers("mlp_only_layers", 0, config.num_hidden_layers - 1);
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
      const bool named = std::find(dense.begin(), dense.end(), i) != dense.end();
      own.sparse.push_back(!named && (i + 1) % step == 0);
    }
    config.own = own;
  }

  void keep_layers(Json& json, const std::vector<int64_t>& left,
                   const DecoderConfig& config) const override {
    Family::keep_layers(json, left, config);
    Json dense = Json::array();
    for (size_t i = 0; i < left.size(); ++i) {
      if (!sparse_options(config).sparse[left[i]]) dense.push_back(i);
    }
    if (dense.size() < left.size()) {
      json[json.contains("num_local_experts") ? "num_local_experts" : "num_experts"] =
          experts_left(config);
    }
    json["mlp_only_layers"] = dense;
    json["decoder_sparse_step"] = 1;
  }
};

}  // namespace

const Family& qwen3_moe() {
  static const Qwen3Moe family;
  return family;
}

}  // namespace hone::model
