#include "hone/model/multi_token.h"

#include <fmt/format.h>
#include <torch/types.h>

#include "hone/core/error.h"
#include "hone/core/names.h"
#include "hone/model/family.h"
#include "hone/nn/anatomy.h"

namespace hone::model {

MultiTokenLayer::MultiTokenLayer(const DecoderConfig& config, int64_t depth,
                                 const at::TensorOptions& tensor_options)
    : number(config.num_hidden_layers + depth) {
  const Family& family = *config.model_type.family;
  block = family.block(config,
                       {.index = number,
                        .heads = config.num_attention_heads,
                        .kv_heads = config.num_key_value_heads,
                        .channels = config.intermediate_size,
                        .experts = family.experts(config, number).count},
                       tensor_options);
  const auto add_norm = [&](torch::nn::Module& module, const char* name) {
    return module.register_module(name, family.norm(config, tensor_options));
  };
  enorm = add_norm(*block, "enorm");
  hnorm = add_norm(*block, "hnorm");
  eh_proj = block->register_module(
      "eh_proj",
      nn::Linear(nn::LinearOptions{2 * config.hidden_size, config.hidden_size}, tensor_options));
  const auto head = block->register_module("shared_head", std::make_shared<torch::nn::Module>());
  norm = add_norm(*head, "norm");
}

at::Tensor MultiTokenLayer::joined(const at::Tensor& embeddings, const at::Tensor& hidden) {
  return eh_proj(at::cat({enorm(embeddings), hnorm(hidden)}, -1));
}

nn::Footprint MultiTokenLayer::footprint(const nn::StepShape& step) const {
  const int64_t width = eh_proj->options.out;
  nn::Footprint f{.saved = enorm->saved(width, step) + hnorm->saved(width, step) +
                           (eh_proj->keeps_input() ? 2 * width : 0) + norm->saved(width, step),
                  .backward = 4 * width};
  for (const auto& module :
       std::vector<const torch::nn::Module*>{enorm.get(), hnorm.get(), eh_proj.get(), norm.get()}) {
    f.gradients += nn::trained_numel(*module);
  }
  return f;
}

void join_multi_token(DecoderConfig& config) {
  config.multi_token = config.model_type->multi_token_layers(config);
  if (config.multi_token > 0) return;
  throw Error(fmt::format(
      "the model has no layers for multi-token prediction to train: {}, where deepseek_v3 or "
      "deepseek_v32 with num_nextn_predict_layers above 0 has some",
      enum_name(config.model_type)));
}

CopiedTable copied_table(const std::string& name) {
  if (name.ends_with(".embed_tokens.weight")) return CopiedTable::kEmbedding;
  return name.ends_with(".shared_head.head.weight") ? CopiedTable::kHead : CopiedTable::kNone;
}

}  // namespace hone::model
