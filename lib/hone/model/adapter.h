/// Low-rank adapters on a decoder, and PEFT's files.
///
/// Matching is PEFT's. A module's name is its path in the checkpoint
/// ("model.layers.0.self_attn.q_proj"). `targets`: equal, or the end of the name after a dot;
/// `target_parameters`: likewise, of the weights of all experts of a layer
/// ("model.layers.3.mlp.experts.down_proj"); `target_regex`: the whole name. Keys of rank_pattern
/// and alpha_pattern are patterns too: of the whole name or of its end after a dot; two that match
/// one name must agree. `modules_to_save`: a plain end of the name ("norm" is also the end of
/// "q_norm"). Patterns are Python's, run by PCRE2.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/model/decoder.h"
#include "hone/nn/lora.h"

namespace hone::io {
struct AdapterFiles;
}

namespace hone::model {

/// Freezes the base and adds adapters with PEFT's default initialisation (nn/linear.h), drawn from
/// `seed` without touching the default generator. `token_rows` are rows of the embedding and an
/// untied head that train as well (a grown vocabulary).
/// Throws: hone::Error naming a target or module_to_save that matches nothing, a pattern that
///   does not compile, or a decoder that has adapters; DoRA or dropout on experts.
void add_lora(Decoder& decoder, const nn::LoraOptions& options, uint64_t seed,
              const std::vector<int64_t>& token_rows = {});

/// Parameters that require gradients, in the order of the model: all of them or the adapter's.
NamedTensors trainable_parameters(const Decoder& decoder);

/// The adapter as PEFT writes it. `base_name` is its base_model_name_or_path.
/// Throws: hone::Error if the decoder has none.
io::AdapterFiles adapter_files(const Decoder& decoder, const std::string& base_name);

/// What an adapter_config.json says of the adapter's size.
struct AdapterShape {
  nn::LoraOptions options;
  int64_t token_rows = 0;  ///< rows of the embedding that it trains
};

/// `names` are those of the adapter's tensors: where they are of single experts, the options are
/// those of load_adapter. Throws: hone::Error naming each option that is not supported, all at
/// once.
AdapterShape adapter_shape(const Json& adapter_config, const std::vector<std::string>& names);

/// Whether the files hold the base's embedding or head whole, which PEFT adds after a resize:
/// load_adapter changes the base then.
bool replaces_embeddings(const io::AdapterFiles& files);

/// Puts an adapter that PEFT or adapter_files wrote on a plain decoder, ready to train on. One with
/// tensors of single experts becomes one on the weights of all experts of a layer, in the options
/// too: gate_proj and up_proj one of twice the rank, as in PEFT beside transformers 5.
/// Throws: hone::Error naming each option of adapter_config.json that is not supported and each
///   tensor that is missing, unexpected or misshapen, all at once; the decoder is of no use then.
void load_adapter(Decoder& decoder, const io::AdapterFiles& files);

/// Works the adapter into the weights (in float32) and drops it; all parameters train again.
/// Does nothing for a decoder without one.
void merge_lora(Decoder& decoder);

/// Drops an adapter's layers; the base is what it was before add_lora, all parameters train again.
/// Throws: hone::Error for an adapter with modules_to_save or token rows, which trained the base.
void drop_lora(Decoder& decoder);

/// What the decoder would be without its adapter, now and while the adapter trains: a decoder over
/// the same memory of weights, in eval mode and without gradients. Buffers are copies. Units that
/// are cut out of `decoder` later stay in it.
/// Throws: hone::Error as drop_lora does.
Decoder frozen_base(const Decoder& decoder);

}  // namespace hone::model
