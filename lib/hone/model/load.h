/// Decoders from and to checkpoint folders of Hugging Face's layout.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "hone/core/json.h"
#include "hone/model/decoder.h"

namespace hone::io {
class Checkpoint;
}

namespace hone::model {

/// A decoder with uninitialised weights; call initialise(seed) or fill it.
Decoder make_decoder(const DecoderConfig& config, at::Device device, at::ScalarType dtype);

/// The model of a checkpoint folder, its tensors converted to `dtype`. `attn_factor` chooses what
/// yarn's ambiguous key means (nn/rotary.h).
/// Throws: IoError listing all tensors that are missing, unexpected or misshapen; what
///   DecoderConfig::from_json throws. Buffers rotary_emb.inv_freq of old exports are ignored, and
///   so is lm_head.weight of a tied model.
Decoder load_decoder(const io::Checkpoint& checkpoint, at::Device device, at::ScalarType dtype,
                     nn::AttnFactorRule attn_factor = nn::AttnFactorRule::kIgnored);

/// Whether the decoder carries an adapter (model/adapter.h): layers' or trainable token rows.
bool has_adapter(const Decoder& decoder);

/// `config` with the decoder's vocab_size and dtype, in the spelling that it has, and what pruning
/// left of it.
Json decoder_config_json(const Decoder& decoder, Json config);

/// Writes the base weights (hf_tensors; merge_lora first to keep an adapter's effect) and
/// decoder_config_json(decoder, config); other files (tokenizer, generation) come from
/// `source_folder` unless it is empty. Atomic (io::save_checkpoint).
/// Throws: hone::Error if the decoder carries adapters; IoError.
void save_decoder(const std::string& folder, Decoder& decoder, const Json& config,
                  const std::string& source_folder);

}  // namespace hone::model
