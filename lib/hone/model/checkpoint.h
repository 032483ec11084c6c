/// Decoders from and to checkpoint folders of Hugging Face's layout.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "hone/core/json.h"
#include "hone/io/tensors.h"
#include "hone/model/decoder.h"

namespace hone::io {
class Checkpoint;
}

namespace hone::model {

/// A decoder with uninitialised weights; call initialise(seed) or fill it.
Decoder make_decoder(const DecoderConfig& config, at::Device device, at::ScalarType dtype);

/// The model of a checkpoint folder, its tensors converted to `dtype`. `attn_factor` chooses what
/// yarn's ambiguous key means (nn/rotary.h).
/// Throws: IoError listing all tensors that are missing, unexpected, misshapen or of a type that is
///   no weights' (io::is_weight_dtype), before memory is spent; what DecoderConfig::from_json
///   throws. Buffers rotary_emb.inv_freq of old exports are ignored, and so is lm_head.weight of a
///   tied model.
Decoder load_decoder(const io::Checkpoint& checkpoint, at::Device device, at::ScalarType dtype,
                     nn::AttnFactorRule attn_factor = nn::AttnFactorRule::kIgnored);

/// The types of a checkpoint's weights, for writing them back as they came.
io::TensorTypes tensor_types(const io::Checkpoint& checkpoint);

/// `wanted`, but float32 for those of `tensors` that hold numbers beyond float16, with a warning.
io::TensorTypes storable_types(const NamedTensors& tensors, io::TensorTypes wanted);

/// The type of most numbers of `tensors` once they are written as `types` says.
at::ScalarType main_type(const NamedTensors& tensors, const io::TensorTypes& types = {});

/// "bfloat16", as config.json and recipes name it.
/// Throws: hone::Error for what is none of float32, bfloat16, float16 and float64.
const char* type_name(at::ScalarType dtype);

/// Whether the decoder carries an adapter (model/adapter.h): layers' or trainable token rows.
bool has_adapter(const Decoder& decoder);

/// `config` with the decoder's vocab_size and the main_type of its tensors, in the spelling that it
/// has, and what pruning left of it.
Json decoder_config_json(const Decoder& decoder, Json config, const io::TensorTypes& types = {});

/// Writes the base weights (hf_tensors; merge_lora first to keep an adapter's effect) and
/// decoder_config_json(decoder, config); other files (tokenizer, generation) come from
/// `source_folder` unless it is empty. Atomic (io::save_checkpoint).
/// Throws: hone::Error if the decoder carries adapters; IoError.
void save_decoder(const std::string& folder, Decoder& decoder, const Json& config,
                  const std::string& source_folder);

}  // namespace hone::model
