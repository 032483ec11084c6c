/// The model that a run starts from.
#pragma once
#include <memory>
#include <string>

#include "hone/io/checkpoint.h"
#include "hone/io/tensors.h"
#include "hone/machine/device.h"
#include "hone/model/adapter.h"
#include "hone/model/decoder.h"
#include "hone/run/config.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::run {

struct Base {
  model::Decoder decoder{nullptr};
  Json config;               ///< its config.json
  std::string name;          ///< the checkpoint folder, absolute; "" for an architecture
  std::string weights_hash;  ///< of the folder's weights; "" for an architecture
  bool shared = false;       ///< whether other runs of the process use the decoder too (Cache)
  io::TensorTypes types;     ///< of the folder's tensors; none for an architecture
  /// The folder, where it stores weights quantised and they are to be written so; else null.
  std::shared_ptr<const io::Checkpoint> quantised;
  /// Of the adapter's tensors that lora.from brought and that is trained on.
  io::TensorTypes adapter_types;
  bool changed = false;  ///< whether an adapter was worked into it: it is no longer the folder
};

/// The config.json of the base without loading it: the model folder's, or the architecture's over
/// the tokenizer's vocabulary. Throws: IoError.
Json base_config(const Config& config, const text::TokenizerFolder& text);

/// What a base's config.json says, with the layers for multi-token prediction where the recipe
/// trains them; `source` names it in messages. Throws: IoError, Error.
model::DecoderConfig decoder_config(const Config& config, const Json& base_config,
                                    const std::string& source);

/// Loads the checkpoint folder, with the adapter of lora.from on it or worked into it; or makes and
/// initialises a model of the architecture.
/// Throws: IoError; Error if the tokenizer has ids beyond the embedding, or the adapter is one of
///   another base.
Base load_base(const Config& config, const text::TokenizerFolder& text,
               const machine::DevicePlan& device);

/// The adapter that a run with tuning lora trains: the recipe's, or the one of lora.from.
/// Throws: IoError, Error.
model::AdapterShape adapter_of(const Config& config);

}  // namespace hone::run
