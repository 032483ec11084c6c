/// The model that a run starts from.
#pragma once
#include <string>

#include "hone/model/decoder.h"
#include "hone/paths/device.h"
#include "hone/paths/domain_config.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::paths {

struct Base {
  model::Decoder decoder{nullptr};
  Json config;               ///< its config.json
  std::string name;          ///< the checkpoint folder, absolute; "" for an architecture
  std::string weights_hash;  ///< of the folder's weights; "" for an architecture
  bool shared = false;       ///< whether other runs of the process use the decoder too (RunCache)
};

/// The config.json of the base without loading it: the model folder's, or the architecture's over
/// the tokenizer's vocabulary. Throws: IoError.
Json base_config(const DomainConfig& config, const text::TokenizerFolder& text);

/// Loads the checkpoint folder, or makes and initialises a model of the architecture.
/// Throws: IoError; Error if the tokenizer has ids beyond the embedding.
Base load_base(const DomainConfig& config, const text::TokenizerFolder& text,
               const DevicePlan& device);

}  // namespace hone::paths
