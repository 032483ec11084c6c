/// A decoder's config.json, as far as it shapes the computation.
#pragma once
#include <any>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/json.h"
#include "hone/core/names.h"
#include "hone/model/pruned/layers.h"
#include "hone/model/quantised_layers.h"
#include "hone/model/sharing/groups.h"
#include "hone/nn/rotary.h"

namespace hone::model {

class Family;

/// A registered family by the name that config.json has for it (model/family.h). In recipes and
/// schemas it is the name, one of those registered.
struct ModelType {
  const Family* family = nullptr;
  const char* name = "";

  const Family* operator->() const { return family; }
  bool operator==(const ModelType&) const = default;
};

/// All that are registered, with their names.
const std::vector<std::pair<ModelType, const char*>>& model_types();
/// Throws: hone::Error listing those supported.
ModelType model_type(const std::string& name);

struct DecoderConfig {
  ModelType model_type = model::model_type("llama");
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
  std::any own;  ///< what only the family's own modules need
  /// What pruning left (config.json's hone_pruned); empty: all layers, whole. The sizes above stay
  /// those before; layer_sizes() tells those of each layer.
  std::vector<PrunedLayer> pruned;
  /// Which linear layers hold integers; none: all are numbers.
  std::optional<QuantisedLayers> quantised;
  /// Layers that use one q_proj and k_proj (config.json's hone_sharing); empty: each has its own.
  LayerGroups sharing;
  /// Layers for multi-token prediction that are part of the model (model/multi_token.h); 0: those
  /// of a checkpoint only travel.
  int64_t multi_token = 0;

  /// Reads the config.json of a model whose family is registered; `source` names it in messages.
  /// Throws: what pruned_from_json and sharing_from_json throw; IoError for another model_type, and
  /// what its family's
  ///   read() throws.
  static DecoderConfig from_json(const Json& config, const std::string& source);
};

}  // namespace hone::model

template <>
struct hone::EnumNames<hone::model::ModelType> {
  /// The registry as EnumNames wants it.
  struct Registered {
    auto begin() const { return model::model_types().begin(); }
    auto end() const { return model::model_types().end(); }
    const auto& operator[](size_t i) const { return model::model_types()[i]; }
  };
  static constexpr Registered values{};
};
