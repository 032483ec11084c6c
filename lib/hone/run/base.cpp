#include "hone/run/base.h"

#include <fmt/format.h>

#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/core/log.h"
#include "hone/core/random.h"
#include "hone/io/adapter.h"
#include "hone/io/quantisation.h"
#include "hone/io/safetensors.h"
#include "hone/model/checkpoint.h"
#include "hone/run/hub_cache.h"

namespace hone::run {
namespace {

/// The base that an adapter names, if that is another folder than `model`: a hint, no more.
std::string named_base(const Json& adapter_config, const std::string& model) {
  const Json name = adapter_config.value("base_model_name_or_path", Json());
  if (!name.is_string() || name == model || name.get_ref<const std::string&>().empty()) return "";
  return fmt::format("; its base is {}, that of the recipe {}", name.get<std::string>(), model);
}

/// Puts the adapter of lora.from on the base, or works it in.
void begin_with_adapter(Base& base, const LoraRecipe& lora) {
  const std::string& folder = *lora.from;
  const io::AdapterFiles files = io::read_adapter(folder);
  try {
    model::load_adapter(base.decoder, files);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: does not fit the model: {}{}", folder, error.what(),
                            named_base(files.config, base.name)));
  }
  base.weights_hash = hash_bytes(base.weights_hash + hash_file(folder + "/" + io::kAdapterWeights));
  base.changed = lora.merge_first || model::replaces_embeddings(files);
  const nn::LoraOptions options = *base.decoder->adapter();
  if (lora.merge_first) {
    model::merge_lora(base.decoder);
  } else {
    for (const auto& [name, tensor] : files.tensors) {
      base.adapter_types[name] = tensor.scalar_type();
    }
  }
  log_info(fmt::format("adapter {} (rank {}, alpha {}{}{}): {}{}", folder, options.rank,
                       options.alpha, options.dora ? ", DoRA" : "",
                       options.rslora ? ", rsLoRA" : "",
                       lora.merge_first ? "worked into the base" : "trained on",
                       named_base(files.config, base.name)));
}

}  // namespace

Json base_config(const Config& config, const text::TokenizerFolder& text) {
  if (config.model) return read_json_file(model_folder(*config.model) + "/config.json");
  return architecture_config(*config.architecture, text.tokenizer.vocab_size(), text.bos_id,
                             text.eos_id);
}

model::DecoderConfig decoder_config(const Config& config, const Json& base_config,
                                    const std::string& source) {
  model::DecoderConfig decoder = model::DecoderConfig::from_json(base_config, source);
  if (config.multi_token.train) model::join_multi_token(decoder);
  if (decoder.quantised && config.quantisation) {
    throw IoError(source,
                  "quantization_config: the model holds integers already; leave the "
                  "recipe's quantisation out");
  }
  if (decoder.quantised && config.tuning == Tuning::kFull && !config.train.only_evaluates()) {
    throw IoError(source,
                  "quantization_config: integers cannot be trained: set tuning to lora, "
                  "which trains an adapter beside them, or tune the model that they were "
                  "made of");
  }
  return decoder;
}

Base load_base(const Config& config, const text::TokenizerFolder& text,
               const machine::DevicePlan& device) {
  Base base;
  if (config.model) {
    const std::string folder = model_folder(*config.model);
    if (folder != *config.model) log_info(*config.model + " is in " + folder);
    const auto checkpoint = std::make_shared<const io::Checkpoint>(io::Checkpoint::open(folder));
    base.decoder = model::load_decoder(*checkpoint, device.device, device.weights,
                                       {.multi_token = config.multi_token.train});
    base.config = checkpoint->config();
    base.name = std::filesystem::canonical(folder).string();
    base.weights_hash = checkpoint->hash();
    base.types = model::tensor_types(*checkpoint);
    if (io::is_quantised(base.config)) base.quantised = checkpoint;
    if (config.lora.from) begin_with_adapter(base, config.lora);
  } else {
    base.config = base_config(config, text);
    base.decoder = model::make_decoder(decoder_config(config, base.config, "architecture"),
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

model::AdapterShape adapter_of(const Config& config) {
  if (!config.lora.continues()) return {config.lora};
  const std::string& folder = *config.lora.from;
  try {
    const io::Safetensors weights(folder + "/" + io::kAdapterWeights);
    std::vector<std::string> names;
    for (const io::TensorInfo& tensor : weights.tensors()) names.push_back(tensor.name);
    return model::adapter_shape(read_json_file(folder + "/" + io::kAdapterConfig), names);
  } catch (const IoError&) {
    throw;
  } catch (const Error& error) {
    throw Error(folder + ": " + error.what());
  }
}

}  // namespace hone::run
