/// A dense decoder's config.json, as far as it shapes the computation.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/json.h"
#include "hone/core/names.h"
#include "hone/model/pruned/layers.h"
#include "hone/nn/rotary.h"

namespace hone::model {

enum class ModelType { kLlama, kQwen2, kQwen3 };

struct DecoderConfig {
  ModelType model_type = ModelType::kLlama;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;  ///< rows of the embedding, at least the tokenizer's entries
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double initializer_range = 0.02;
  double attention_dropout = 0;
  bool tie_word_embeddings = false;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;
  nn::RotaryOptions rope;
  /// What pruning left (config.json's hone_pruned); empty: all layers, whole. The sizes above stay
  /// those before; layer_sizes() tells those of each layer.
  std::vector<PrunedLayer> pruned;

  /// Reads the config.json of a llama, qwen2 or qwen3 model; `source` names it in messages.
  /// Throws: what pruned_from_json throws; IoError listing every key that is missing, malformed or
  /// asks for what is not
  ///   supported (another model_type, hidden_act or rope type, a sliding window in use,
  ///   quantised weights).
  static DecoderConfig from_json(const Json& config, const std::string& source);
};

}  // namespace hone::model

template <>
struct hone::EnumNames<hone::model::ModelType> {
  static constexpr std::pair<model::ModelType, const char*> values[] = {
      {model::ModelType::kLlama, "llama"},
      {model::ModelType::kQwen2, "qwen2"},
      {model::ModelType::kQwen3, "qwen3"}};
};
