/// A model described by its sizes, for starting without weights.
#pragma once
#include <cstdint>
#include <optional>

#include "hone/core/field.h"
#include "hone/core/json.h"
#include "hone/model/config.h"

namespace hone::run {

/// Sizes by the names of Hugging Face's config.json; the vocabulary's size comes from the
/// tokenizer.
struct ArchitectureOptions {
  model::ModelType model_type = model::model_type("llama");
  int64_t hidden_size = 256;
  int64_t intermediate_size = 704;
  int64_t num_hidden_layers = 4;
  int64_t num_attention_heads = 4;
  std::optional<int64_t> num_key_value_heads;
  std::optional<int64_t> head_dim;
  int64_t max_position_embeddings = 2048;
  double rope_theta = 10000;
  double rms_norm_eps = 1e-6;
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;
  int64_t vocab_multiple = 64;
  // Of families that have such parts (model::Family::own_keys).
  std::optional<int64_t> q_lora_rank, kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim, v_head_dim;
  std::optional<int64_t> n_routed_experts, num_experts, num_experts_per_tok, n_shared_experts;
  std::optional<int64_t> moe_intermediate_size, first_k_dense_replace, n_group, topk_group;
  std::optional<int64_t> num_nextn_predict_layers;
  std::optional<double> routed_scaling_factor;
  std::optional<bool> norm_topk_prob;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("model_type", self.model_type, "Architecture family.");
    v("hidden_size", self.hidden_size, "Width of the residual stream.", Range{1, 65536});
    v("intermediate_size", self.intermediate_size, "Width of the gated MLP.", Range{1, 1048576});
    v("num_hidden_layers", self.num_hidden_layers, "Decoder blocks.", Range{1, 1000});
    v("num_attention_heads", self.num_attention_heads, "Query heads.", Range{1, 1024});
    v("num_key_value_heads", self.num_key_value_heads,
      "Key-value heads; as many as query heads when absent.", Range{1, 1024});
    v("head_dim", self.head_dim, "Width of a head; hidden_size / heads when absent.",
      Range{2, 1024});
    v("max_position_embeddings", self.max_position_embeddings, "Longest document in tokens.",
      Range{1, 16777216});
    v("rope_theta", self.rope_theta, "Base of the rotary frequencies.", Range{1, 1e12});
    v("rms_norm_eps", self.rms_norm_eps, "Term under the root of the norms.", Range{0, 1});
    v("initializer_range", self.initializer_range, "Standard deviation of the initial weights.",
      Range{0, 10});
    v("tie_word_embeddings", self.tie_word_embeddings, "Whether the output head is the embedding.");
    v("vocab_multiple", self.vocab_multiple,
      "The embedding's rows are rounded up to a multiple of this.", Range{1, 65536});
    visit_own(self, v);
  }

  /// The keys of single families.
  template <class Self, class Visitor>
  static void visit_own(Self& self, Visitor& v) {
    v("q_lora_rank", self.q_lora_rank,
      "Latent attention: width that queries come out of; they come of the stream when absent.",
      Range{1, 65536});
    v("kv_lora_rank", self.kv_lora_rank,
      "Latent attention: width that keys and values come out of.", Range{1, 65536});
    v("qk_nope_head_dim", self.qk_nope_head_dim,
      "Latent attention: numbers of a query and key head that are not rotated.", Range{1, 1024});
    v("qk_rope_head_dim", self.qk_rope_head_dim,
      "Latent attention: numbers of a query and key head that are.", Range{2, 1024});
    v("v_head_dim", self.v_head_dim, "Latent attention: width of a value head.", Range{1, 1024});
    v("n_routed_experts", self.n_routed_experts, "Experts of a layer (DeepSeek); none when absent.",
      Range{1, 4096});
    v("num_experts", self.num_experts, "Experts of a layer (Qwen3-MoE).", Range{1, 4096});
    v("num_experts_per_tok", self.num_experts_per_tok, "Experts that a token takes.",
      Range{1, 4096});
    v("n_shared_experts", self.n_shared_experts,
      "Experts that every token takes, as one MLP of so many times an expert's width.",
      Range{0, 64});
    v("moe_intermediate_size", self.moe_intermediate_size, "Width of an expert.",
      Range{1, 1048576});
    v("first_k_dense_replace", self.first_k_dense_replace, "First layers without experts.",
      Range{0, 1000});
    v("n_group", self.n_group, "Groups of experts, of which topk_group are chosen from.",
      Range{1, 4096});
    v("topk_group", self.topk_group, "Groups that a token's experts come from.", Range{1, 4096});
    v("num_nextn_predict_layers", self.num_nextn_predict_layers,
      "Layers for multi-token prediction, which multi_token trains; none when absent.",
      Range{0, 16});
    v("routed_scaling_factor", self.routed_scaling_factor,
      "What the weights of a token's experts are multiplied by.", Range{0, 1000});
    v("norm_topk_prob", self.norm_topk_prob,
      "Whether the weights of a token's experts are divided by their sum.");
  }

  void validate(Validation& v) const;
};

/// The config.json of such a model over a vocabulary of `vocab_size` entries.
Json architecture_config(const ArchitectureOptions& options, int64_t vocab_size,
                         std::optional<int64_t> bos_id, std::optional<int64_t> eos_id);

}  // namespace hone::run
