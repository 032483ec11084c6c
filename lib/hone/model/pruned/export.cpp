#include "hone/model/pruned/export.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/detail/lora_layout.h"
#include "hone/model/detail/peft_config.h"

namespace hone::model {
namespace {

const std::string kLayers = "model.layers.";

/// Where one layer's units go among those of the export.
struct LayerPlaces {
  int64_t number = 0;  ///< of the layer
  std::vector<int64_t> heads, kv_heads, channels;
};

/// The sizes that all exported layers share, and each layer's places in them.
struct Layout {
  int64_t kv_heads = 0, group = 0, channels = 0, head_dim = 0;
  std::map<int64_t, LayerPlaces> layers;  ///< by index before any pruning
  bool pads_heads = false, pads_channels = false;

  int64_t heads() const { return kv_heads * group; }
};

std::vector<int64_t> first(int64_t count) {
  std::vector<int64_t> indices(count);
  for (int64_t i = 0; i < count; ++i) indices[i] = i;
  return indices;
}

int64_t kv_head(const LayerSizes& sizes, int64_t head) {
  return sizes.kv_head_of.empty() ? head / (sizes.heads / sizes.kv_heads) : sizes.kv_head_of[head];
}

/// The key head and the slot in its group of each query head.
std::vector<std::pair<int64_t, int64_t>> slots(const LayerSizes& sizes) {
  std::vector<std::pair<int64_t, int64_t>> slots;
  for (int64_t head = 0; head < sizes.heads; ++head) {
    const int64_t kv = kv_head(sizes, head);
    const int64_t slot = slots.empty() || slots.back().first != kv ? 0 : slots.back().second + 1;
    slots.emplace_back(kv, slot);
  }
  return slots;
}

/// transformers refuses a llama whose number of query heads does not divide the model's width: the
/// next larger numbers that do, up to those before any pruning.
void widen_for_llama(Layout& layout, const DecoderConfig& config) {
  if (config.model_type != ModelType::kLlama || config.hidden_size % layout.heads() == 0) return;
  const int64_t most_kv = config.num_key_value_heads;
  const int64_t most_group = config.num_attention_heads / most_kv;
  int64_t best_kv = most_kv, best_group = most_group;
  for (int64_t kv = layout.kv_heads; kv <= most_kv; ++kv) {
    for (int64_t group = layout.group; group <= most_group; ++group) {
      if (config.hidden_size % (kv * group) != 0 || kv * group >= best_kv * best_group) continue;
      best_kv = kv;
      best_group = group;
    }
  }
  layout.kv_heads = best_kv;
  layout.group = best_group;
}

Layout layout_of(const DecoderConfig& config) {
  const std::vector<LayerSizes> layers = layer_sizes(config);
  Layout layout{.head_dim = config.head_dim};
  for (const LayerSizes& sizes : layers) {
    layout.kv_heads = std::max(layout.kv_heads, sizes.kv_heads);
    layout.channels = std::max(layout.channels, sizes.channels);
    for (const auto& [kv, slot] : slots(sizes)) layout.group = std::max(layout.group, slot + 1);
  }
  widen_for_llama(layout, config);
  for (const LayerSizes& sizes : layers) {
    LayerPlaces places{.number = std::ssize(layout.layers),
                       .kv_heads = first(sizes.kv_heads),
                       .channels = first(sizes.channels)};
    for (const auto& [kv, slot] : slots(sizes)) places.heads.push_back(kv * layout.group + slot);
    layout.pads_heads = layout.pads_heads || sizes.heads < layout.heads();
    layout.pads_channels = layout.pads_channels || sizes.channels < layout.channels;
    layout.layers.emplace(sizes.index, std::move(places));
  }
  return layout;
}

/// `tensor`, whose dimension `dim` is units of `width`, with its units at `places` among `count`,
/// the others zero.
at::Tensor placed(const at::Tensor& tensor, int64_t dim, const std::vector<int64_t>& places,
                  int64_t count, int64_t width) {
  if (std::ssize(places) == count) return tensor;
  const at::Tensor units = tensor.detach().unflatten(dim, {std::ssize(places), width});
  std::vector<int64_t> sizes = units.sizes().vec();
  sizes[dim] = count;
  const at::Tensor index = torch::tensor(places, at::kLong).to(tensor.device());
  return at::zeros(sizes, tensor.options()).index_copy(dim, index, units).flatten(dim, dim + 1);
}

/// The layer in a name, and what stands behind it; no layer for embedding, norm and head.
std::pair<const LayerPlaces*, std::string> layer_of(const Layout& layout, const std::string& name) {
  if (!name.starts_with(kLayers)) return {nullptr, name};
  const size_t dot = name.find('.', kLayers.size());
  int64_t index = 0;
  std::from_chars(name.data() + kLayers.size(), name.data() + dot, index);
  return {&layout.layers.at(index), name.substr(dot + 1)};
}

/// A module's or tensor's name (without PEFT's prefix) in the export.
std::string exported_name(const Layout& layout, const std::string& name) {
  const auto [layer, rest] = layer_of(layout, name);
  return layer ? kLayers + std::to_string(layer->number) + "." + rest : rest;
}

/// A tensor of that name as the export has it.
at::Tensor exported_tensor(const Layout& layout, const std::string& name,
                           const at::Tensor& tensor) {
  const auto [layer, module] = layer_of(layout, name);
  if (!layer) return tensor;
  const auto begins = [&m = module](const char* start) { return m.starts_with(start); };
  // Of linear layers the weight's second dimension and lora_A's are inputs, all other outputs.
  const bool adapts_input = module.ends_with(".lora_A.weight");
  const bool adapts_output = module.ends_with(".lora_B.weight") || tensor.dim() == 1;
  const auto out = [&](const std::vector<int64_t>& at, int64_t count, int64_t width) {
    return adapts_input ? tensor : placed(tensor, 0, at, count, width);
  };
  const auto in = [&](const std::vector<int64_t>& at, int64_t count, int64_t width) {
    return adapts_output ? tensor : placed(tensor, 1, at, count, width);
  };
  if (begins("self_attn.q_proj.")) return out(layer->heads, layout.heads(), layout.head_dim);
  if (begins("self_attn.k_proj.") || begins("self_attn.v_proj.")) {
    return out(layer->kv_heads, layout.kv_heads, layout.head_dim);
  }
  if (begins("self_attn.o_proj.")) return in(layer->heads, layout.heads(), layout.head_dim);
  if (begins("mlp.gate_proj.") || begins("mlp.up_proj.")) {
    return out(layer->channels, layout.channels, 1);
  }
  if (begins("mlp.down_proj.")) return in(layer->channels, layout.channels, 1);
  return tensor;
}

Json exported_config(const Decoder& decoder, const Layout& layout, const Json& config,
                     const io::TensorTypes& types) {
  Json json = decoder_config_json(decoder, config, types);
  json.erase("hone_pruned");
  json["num_hidden_layers"] = layout.layers.size();
  json["num_attention_heads"] = layout.heads();
  json["num_key_value_heads"] = layout.kv_heads;
  json["head_dim"] = layout.head_dim;
  json["intermediate_size"] = layout.channels;
  const Json kinds = json.value("layer_types", Json());
  if (kinds.is_array() && std::ssize(kinds) == decoder->config().num_hidden_layers) {
    Json left = Json::array();
    for (const auto& [index, places] : layout.layers) left.push_back(kinds[index]);
    json["layer_types"] = left;
  }
  return json;
}

std::string escaped(const std::string& name) {
  std::string pattern;
  for (const char c : name) pattern += c == '.' ? std::string("\\.") : std::string(1, c);
  return pattern;
}

/// The adapter's options by the modules' names in the export.
nn::LoraOptions exported_options(const Decoder& decoder, const Layout& layout) {
  const nn::LoraOptions& old = *decoder->adapter();
  nn::LoraOptions options = old;
  options.target_regex.reset();
  options.targets.clear();
  options.modules_to_save.clear();
  options.rank_pattern.clear();
  options.alpha_pattern.clear();
  for (const detail::LoraTarget& target :
       detail::lora_targets(decoder, old, detail::Unmatched::kIgnore)) {
    const std::string name = exported_name(layout, target.name);
    options.targets.push_back(name);
    if (target.spec.rank != old.rank) options.rank_pattern[escaped(name)] = target.spec.rank;
    if (target.alpha != old.alpha) options.alpha_pattern[escaped(name)] = target.alpha;
  }
  for (const auto& [name, tensor] :
       detail::saved_modules(decoder, old.modules_to_save, detail::Unmatched::kIgnore)) {
    const std::string module = exported_name(layout, name.substr(0, name.rfind('.')));
    if (options.modules_to_save.empty() || options.modules_to_save.back() != module) {
      options.modules_to_save.push_back(module);
    }
  }
  return options;
}

void check_dora(const Decoder& decoder, const Layout& layout) {
  for (const detail::LoraTarget& target :
       detail::lora_targets(decoder, *decoder->adapter(), detail::Unmatched::kIgnore)) {
    const bool heads = target.name.ends_with("q_proj") || target.name.ends_with("k_proj") ||
                       target.name.ends_with("v_proj");
    const bool channels = target.name.ends_with("gate_proj") || target.name.ends_with("up_proj");
    if ((heads && layout.pads_heads) || (channels && layout.pads_channels)) {
      throw Error("exported_adapter: DoRA divides by the norms of " + target.name +
                  "'s rows, some of which the export fills with zeros; merge the adapter instead");
    }
  }
}

}  // namespace

ExportForm export_form(const Decoder& decoder) {
  const Layout layout = layout_of(decoder->config());
  return layout.pads_heads || layout.pads_channels ? ExportForm::kZeroFilled : ExportForm::kDirect;
}

ExportForm export_pruned(const std::string& folder, const std::string& compact_folder,
                         const Decoder& decoder, const Json& config,
                         const std::string& source_folder, const io::TensorTypes& types) {
  const Layout layout = layout_of(decoder->config());
  const ExportForm form = export_form(decoder);
  if (layout.pads_heads && decoder->config().qk_norm && decoder->config().rms_norm_eps == 0) {
    throw Error("export_pruned: with rms_norm_eps 0 the norms of zero-filled heads are no number");
  }
  io::CheckpointOptions options{.source_folder = source_folder};
  NamedTensors tensors;
  for (const auto& [name, tensor] : decoder->hf_tensors()) {
    tensors.emplace_back(exported_name(layout, name), exported_tensor(layout, name, tensor));
    options.types[tensors.back().first] = io::written_type(name, tensor, types);
  }
  io::save_checkpoint(folder, exported_config(decoder, layout, config, types), tensors, options);
  if (form == ExportForm::kZeroFilled) {
    io::save_checkpoint(compact_folder, decoder_config_json(decoder, config, types),
                        decoder->hf_tensors(), {.source_folder = source_folder, .types = types});
  }
  return form;
}

io::AdapterFiles exported_adapter(const Decoder& decoder, const std::string& base_name) {
  io::AdapterFiles own = adapter_files(decoder, base_name);
  const Layout layout = layout_of(decoder->config());
  if (decoder->adapter()->dora) check_dora(decoder, layout);
  const nn::LoraOptions options = exported_options(decoder, layout);
  io::AdapterFiles files;
  files.config = detail::peft_config(options, options.targets,
                                     own.config.at("trainable_token_indices"), base_name);
  const std::string prefix = "base_model.model.";
  for (const auto& [full_name, tensor] : own.tensors) {
    const std::string name = full_name.substr(prefix.size());
    files.tensors[prefix + exported_name(layout, name)] = exported_tensor(layout, name, tensor);
  }
  return files;
}

}  // namespace hone::model
