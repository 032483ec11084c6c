/// Decoders from and to checkpoint folders of Hugging Face's layout.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "hone/core/json.h"
#include "hone/io/checkpoint.h"
#include "hone/io/tensors.h"
#include "hone/model/decoder.h"

namespace hone::model {

/// A decoder with uninitialised weights; call initialise(seed) or fill it.
Decoder make_decoder(const DecoderConfig& config, at::Device device, at::ScalarType dtype);

struct LoadOptions {
  nn::AttnFactorRule attn_factor = nn::AttnFactorRule::kIgnored;  ///< of yarn (nn/rotary.h)
  bool multi_token = false;  ///< whether its layers for multi-token prediction are of the model
  bool as_numbers = false;   ///< whether layers that hold integers become numbers of `dtype`
};

/// The model of a checkpoint folder, its tensors converted to `dtype`.
/// Weights that are stored as codes and scales (io/quantisation.h) are read as the numbers they
/// are. Throws: IoError listing all tensors that are missing, unexpected, misshapen, without their
/// scales
///   or of a type that is no weights' (io::is_weight_dtype), before memory is spent; of tables of
///   integers those that are out of their range; what DecoderConfig::from_json and join_multi_token
///   throw. Tensors that only travel
///   (Family::travels) are kept on the CPU as they are; but copies of embedding and head in layers
///   for multi-token prediction that are part of the model follow those, with a warning where they
///   differ. Layers that share projections (hone_sharing) but have different ones in the files get
///   each its own, with a warning. Buffers rotary_emb.inv_freq of old exports are ignored, and so
///   is lm_head.weight of a tied model.
Decoder load_decoder(const io::Checkpoint& checkpoint, at::Device device, at::ScalarType dtype,
                     const LoadOptions& options = {});

/// Fills the base of a decoder that is there, of the checkpoint's shape. What travels stays.
/// Throws: as load_decoder does.
void read_weights(Decoder& decoder, const io::Checkpoint& checkpoint);

/// The types of a checkpoint's weights and tables of integers, for writing them back as they came;
/// those of codes are in io::CheckpointOptions::quantised_as.
io::TensorTypes tensor_types(const io::Checkpoint& checkpoint);

/// `wanted`, but float32 for those of `tensors` that hold numbers beyond float16, with a warning.
io::TensorTypes storable_types(const NamedTensors& tensors, io::TensorTypes wanted);

/// The type of most weights of `tensors` once they are written as `types` says; codes are none.
at::ScalarType main_type(const NamedTensors& tensors, const io::TensorTypes& types = {});

/// "bfloat16", as config.json and recipes name it.
/// Throws: hone::Error for what is none of float32, bfloat16, float16 and float64.
const char* type_name(at::ScalarType dtype);

/// Whether the decoder carries an adapter (model/adapter.h): layers' or trainable token rows.
bool has_adapter(const Decoder& decoder);

/// `config` with the decoder's vocab_size and the main_type of its tensors, in the spelling that it
/// has, and what pruning left of it. How weights are quantised, and the type beside them, stays
/// where options.quantised_as has them written so, and goes where they are written as numbers.
Json decoder_config_json(const Decoder& decoder, Json config,
                         const io::CheckpointOptions& options = {});

/// What becomes of an adapter where only base weights are written.
enum class Adapter {
  kRefused,  ///< hone::Error: merge_lora it first, or save it as adapter_files
  kLeftOut   ///< kept elsewhere
};

/// Writes the base weights (hf_tensors) and decoder_config_json(decoder, config, options) into
/// `folder`, which must exist (io::write_checkpoint). What only travels is written as numbers too
/// where options.quantised_as is nullptr. Throws: IoError.
void write_decoder(const std::string& folder, const Decoder& decoder, const Json& config,
                   const io::CheckpointOptions& options = {}, Adapter adapter = Adapter::kRefused);

/// The same whole or not at all, in place of an older checkpoint at `folder` (io::AtomicFolder).
void save_decoder(const std::string& folder, const Decoder& decoder, const Json& config,
                  const io::CheckpointOptions& options = {}, Adapter adapter = Adapter::kRefused);

}  // namespace hone::model
