#include "hone/paths/base.h"

#include <fmt/format.h>

#include <filesystem>

#include "hone/core/random.h"
#include "hone/io/checkpoint.h"
#include "hone/model/load.h"

namespace hone::paths {

Json base_config(const DomainConfig& config, const text::TokenizerFolder& text) {
  if (config.model) return read_json_file(*config.model + "/config.json");
  return architecture_config(*config.architecture, text.tokenizer.vocab_size(), text.bos_id,
                             text.eos_id);
}

Base load_base(const DomainConfig& config, const text::TokenizerFolder& text,
               const DevicePlan& device) {
  Base base;
  if (config.model) {
    const io::Checkpoint checkpoint = io::Checkpoint::open(*config.model);
    base.decoder = model::load_decoder(checkpoint, device.device, device.weights);
    base.config = checkpoint.config();
    base.name = std::filesystem::canonical(*config.model).string();
    base.weights_hash = checkpoint.hash();
  } else {
    base.config = base_config(config, text);
    base.decoder = model::make_decoder(model::DecoderConfig::from_json(base.config, "architecture"),
                                       device.device, device.weights);
    base.decoder->initialise(derive_seed(config.seed, "init"));
  }
  const int64_t rows = base.decoder->config().vocab_size;
  if (text.tokenizer.vocab_size() > rows) {
    throw Error(fmt::format("{}: the tokenizer has ids up to {}, but the embedding only {} rows",
                            text.tokenizer.source(), text.tokenizer.vocab_size() - 1, rows));
  }
  return base;
}

}  // namespace hone::paths
