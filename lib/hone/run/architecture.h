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
  }

  void validate(Validation& v) const;
};

/// The config.json of such a model over a vocabulary of `vocab_size` entries.
Json architecture_config(const ArchitectureOptions& options, int64_t vocab_size,
                         std::optional<int64_t> bos_id, std::optional<int64_t> eos_id);

}  // namespace hone::run
