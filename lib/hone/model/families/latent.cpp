#include "hone/model/families/latent.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "hone/nn/rotary.h"

namespace hone::model {

std::vector<std::string> LatentFamily::own_keys() const {
  std::vector<std::string> keys = expert_keys();
  keys.insert(keys.end(), {"q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim",
                           "v_head_dim", "n_group", "topk_group"});
  return keys;
}

void LatentFamily::read_heads(Keys& keys, DecoderConfig& config) const {
  config.num_attention_heads = config.num_key_value_heads =
      keys.required_integer("num_attention_heads", 1, kMaxHeads);
  config.head_dim = std::max<int64_t>(2, keys.required_integer("qk_rope_head_dim", 2, 1 << 14));
  if (config.head_dim % 2 != 0) {
    keys.problem("qk_rope_head_dim", fmt::format("must be even, got {}", config.head_dim));
    ++config.head_dim;
  }
}

nn::Mixer LatentFamily::mixer(const DecoderConfig& config, const LayerSizes& sizes,
                              const at::TensorOptions& tensor_options) const {
  nn::LatentAttentionOptions options = sparse_options(config).mla;
  options.num_heads = sizes.heads;
  return nn::LatentAttention(options, tensor_options);
}

nn::LatentAttentionOptions LatentFamily::read_attention(Keys& keys, const DecoderConfig& config) {
  nn::LatentAttentionOptions options{.dim = config.hidden_size, .rotary = config.head_dim};
  if (!keys.has("q_lora_rank")) keys.problem("q_lora_rank", "is missing; null for none");
  options.query_rank = keys.integer("q_lora_rank", 0, kMaxWidth).value_or(0);
  options.latent = keys.required_integer("kv_lora_rank", 1, kMaxWidth);
  options.plain = keys.required_integer("qk_nope_head_dim", 1, 1 << 14);
  options.value = keys.required_integer("v_head_dim", 1, 1 << 14);
  options.bias = keys.flag("attention_bias").value_or(false);
  options.dropout = config.attention_dropout;
  options.scale = nn::yarn_softmax_factor(config.rope) /
                  std::sqrt(static_cast<double>(options.plain + options.rotary));
  return options;
}

SparseOptions LatentFamily::read_v3(Keys& keys, const DecoderConfig& config) {
  require_said(keys, {"n_shared_experts", "first_k_dense_replace", "routed_scaling_factor",
                      "n_group", "topk_group"});
  SparseOptions own = read_experts(keys, config);
  own.mla = read_attention(keys, config);
  for (const auto& [key, known] :
       {std::pair{"scoring_func", "sigmoid"}, {"topk_method", "noaux_tc"}}) {
    if (const auto text = keys.text(key); text.value_or(known) != known) {
      keys.problem(key, "only " + std::string(known) + " is supported, got \"" + *text + "\"");
    }
  }
  nn::RouterOptions& router = own.experts.router;
  router.scoring = nn::Scoring::kSigmoid;
  router.bias = true;
  router.normalise = keys.flag("norm_topk_prob").value_or(true);
  read_groups(keys, /*top=*/2, router);
  return own;
}

}  // namespace hone::model
