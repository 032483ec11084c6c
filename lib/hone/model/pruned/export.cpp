#include "hone/model/pruned/export.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <map>
#include <optional>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/detail/lora_layout.h"
#include "hone/model/detail/peft_config.h"
#include "hone/model/family.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/branch.h"

namespace hone::model {
namespace {

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

/// Where transformers wants the number of query heads to divide the model's width: the next larger
/// numbers that do, up to those before any pruning.
void widen_to_divide(Layout& layout, const DecoderConfig& config) {
  if (!config.model_type->heads_divide_width() || config.hidden_size % layout.heads() == 0) return;
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
  widen_to_divide(layout, config);
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

/// A module's or tensor's name (without PEFT's prefix) in the export.
std::string exported_name(const Layout& layout, const std::string& name) {
  const std::optional<int64_t> layer = layer_of(name);
  if (!layer) return name;
  const std::string rest = name.substr(layer_prefix(*layer).size());
  return layer_prefix(layout.layers.at(*layer).number) + rest;
}

/// How a tensor's units are laid out anew along one dimension of it.
struct Spread {
  int64_t dim = 0;
  const std::vector<int64_t>* places = nullptr;  ///< of its units among `count`
  int64_t count = 0, width = 1;
  bool outputs = true;  ///< the units are a linear layer's outputs

  bool pads() const { return std::ssize(*places) < count; }
};

/// Of all tensors with units that are pruned, by the decoder's names of them.
std::map<std::string, Spread> spreads(const Decoder& decoder, const Layout& layout) {
  std::map<std::string, Spread> spreads;
  const std::vector<int64_t> numbers = layer_numbers(decoder->config());
  for (size_t i = 0; i < numbers.size(); ++i) {
    const LayerPlaces& layer = layout.layers.at(numbers[i]);
    const auto add = [&](const std::string& branch, const std::vector<nn::UnitAxis>& axes,
                         const Spread& of_units, const Spread& of_groups) {
      for (const nn::UnitAxis& axis : axes) {
        Spread spread = axis.groups ? of_groups : of_units;
        spread.width = axis.width;
        spread.outputs = axis.outputs;
        for (const nn::ModuleTensor& own : axis.layer->own_tensors()) {
          spread.dim = axis.outputs ? own.outputs : own.inputs;
          if (spread.dim < 0) continue;
          spreads[layer_prefix(numbers[i]) + branch + axis.name + "." + own.name] = spread;
        }
      }
    };
    add("self_attn.", decoder->layers[i]->self_attn->axes(), {0, &layer.heads, layout.heads()},
        {0, &layer.kv_heads, layout.kv_heads});
    const nn::FeedForward& mlp = decoder->layers[i]->mlp;  // no layer is filled up with experts
    if (!mlp->routes()) add("mlp.", mlp->axes(), {0, &layer.channels, layout.channels}, {});
  }
  return spreads;
}

/// A tensor of that name as the export has it.
at::Tensor exported_tensor(const std::map<std::string, Spread>& spreads, const std::string& name,
                           const at::Tensor& tensor) {
  const auto found = spreads.find(name);
  if (found == spreads.end()) return tensor;
  const auto& [dim, places, count, width, outputs] = found->second;
  return placed(tensor, dim, *places, count, width);
}

Json exported_config(const Decoder& decoder, const Layout& layout, const Json& config,
                     const io::CheckpointOptions& options) {
  Json json = decoder_config_json(decoder, config, options);
  json.erase("hone_pruned");
  json["num_hidden_layers"] = layout.layers.size();
  json["num_attention_heads"] = layout.heads();
  json["num_key_value_heads"] = layout.kv_heads;
  json["head_dim"] = layout.head_dim;
  json["intermediate_size"] = layout.channels;
  decoder->config().model_type->keep_layers(json, layer_numbers(decoder->config()),
                                            decoder->config());
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
  options.target_parameters.clear();
  options.modules_to_save.clear();
  options.rank_pattern.clear();
  options.alpha_pattern.clear();
  for (const detail::LoraTarget& target :
       detail::lora_targets(decoder, old, detail::Unmatched::kIgnore)) {
    const std::string name = exported_name(layout, target.name);
    (target.parameter ? options.target_parameters : options.targets).push_back(name);
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

void check_dora(const Decoder& decoder, const std::map<std::string, Spread>& spreads) {
  for (const detail::LoraTarget& target :
       detail::lora_targets(decoder, *decoder->adapter(), detail::Unmatched::kIgnore)) {
    const auto weight = spreads.find(target.name + ".weight");
    if (weight != spreads.end() && weight->second.outputs && weight->second.pads()) {
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
                         const io::CheckpointOptions& options) {
  const Layout layout = layout_of(decoder->config());
  const ExportForm form = export_form(decoder);
  if (layout.pads_heads && decoder->config().qk_norm && decoder->config().rms_norm_eps == 0) {
    throw Error("export_pruned: with rms_norm_eps 0 the norms of zero-filled heads are no number");
  }
  io::CheckpointOptions renamed = options;
  const auto spread = spreads(decoder, layout);
  NamedTensors base;
  for (const auto& [name, tensor] : decoder->base_tensors()) {
    base.emplace_back(exported_name(layout, name), exported_tensor(spread, name, tensor));
  }
  // The family lays both alike: the decoder's names tell the types.
  const std::vector<CheckpointTensor> own = decoder->checkpoint_tensors();
  NamedTensors tensors;
  for (const CheckpointTensor& exported :
       decoder->config().model_type->checkpoint_tensors(base, decoder->config())) {
    const CheckpointTensor& from = own.at(tensors.size());
    renamed.types[exported.name] = io::written_type(from.name, from.parts.front(), options.types);
    renamed.stored_names[exported.name] = from.name;
    tensors.emplace_back(exported.name, exported.whole());
  }
  io::save_checkpoint(folder, exported_config(decoder, layout, config, options), tensors, renamed);
  if (form == ExportForm::kZeroFilled) {
    save_decoder(compact_folder, decoder, config, options, Adapter::kLeftOut);
  }
  return form;
}

io::AdapterFiles exported_adapter(const Decoder& decoder, const std::string& base_name) {
  io::AdapterFiles own = adapter_files(decoder, base_name);
  const Layout layout = layout_of(decoder->config());
  const auto spread = spreads(decoder, layout);
  if (decoder->adapter()->dora) check_dora(decoder, spread);
  const nn::LoraOptions options = exported_options(decoder, layout);
  io::AdapterFiles files;
  files.config = detail::peft_config(options, options.targets,
                                     own.config.at("trainable_token_indices"), base_name);
  const std::string prefix = "base_model.model.";
  for (const auto& [full_name, tensor] : own.tensors) {
    const std::string name = full_name.substr(prefix.size());
    files.tensors[prefix + exported_name(layout, name)] = exported_tensor(spread, name, tensor);
  }
  return files;
}

}  // namespace hone::model
