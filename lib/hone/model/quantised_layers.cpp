#include "hone/model/quantised_layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/model/decoder.h"
#include "hone/nn/linear.h"
#include "hone/unicode/pattern.h"

namespace hone::model {
namespace {

constexpr const char* kConfig = "quantization_config";
constexpr const char* kMethod = "compressed-tensors";
constexpr const char *kBytes = "int-quantized", *kPacked = "pack-quantized";
constexpr size_t kMaxListed = 8;

/// A problem unless the key is absent, null or this.
void only(Keys& keys, const char* key, const Json& value) {
  const Json* found = keys.find(key);
  if (found && *found != value) {
    keys.problem(key, fmt::format("{} is not supported, only {}", shown(*found), value.dump()));
  }
}

void only_empty(Keys& keys, const char* key) {
  const Json* found = keys.find(key);
  if (found && !found->empty()) keys.problem(key, "is not supported");
}

kernels::WeightFormat read_weights(Keys keys, bool packed) {
  kernels::WeightFormat format{.bits = keys.required_integer("num_bits", 1, 16), .packed = packed};
  if (format.bits != 8 && (format.bits != 4 || !packed)) {
    keys.problem("num_bits", "supported are 8, and 4 in the format pack-quantized");
  }
  only(keys, "type", "int");
  only(keys, "symmetric", true);
  only(keys, "dynamic", false);
  only(keys, "actorder", nullptr);
  only(keys, "block_structure", nullptr);
  const std::string strategy = keys.required_text("strategy");
  if (strategy == "group") {
    format.group = keys.required_integer("group_size", 1, 1 << 20);
  } else if (strategy != "channel") {
    keys.problem("strategy", "\"" + strategy + "\" is not supported, only channel and group");
  }
  return format;
}

void check_inputs(Keys keys) {
  only(keys, "num_bits", 8);
  only(keys, "type", "int");
  only(keys, "symmetric", true);
  only(keys, "strategy", "token");
  only(keys, "dynamic", true);
}

nn::QuantisationSpec read_group(Keys keys, std::string format) {
  if (const Json* targets = keys.find("targets"); targets && *targets != Json{"Linear"}) {
    keys.problem("targets", "only [\"Linear\"] is supported");
  }
  only(keys, "output_activations", nullptr);
  format = keys.text("format").value_or(format);
  if (format != kBytes && format != kPacked) {
    keys.problem("format",
                 fmt::format("\"{}\" is not supported, only {} and {}", format, kBytes, kPacked));
  }
  nn::QuantisationSpec spec;
  spec.weight =
      read_weights(keys.below(keys.required_object("weights"), "weights"), format == kPacked);
  const Json* inputs = keys.find("input_activations");
  spec.inputs.rounds = inputs != nullptr;
  if (inputs && !inputs->is_object()) {
    keys.problem("input_activations", "expected an object");
  } else if (inputs) {
    check_inputs(keys.below(*inputs, "input_activations"));
    if (spec.weight != kernels::WeightFormat{}) {
      keys.problem("input_activations",
                   "are supported beside weights of 8 bits with a scale a row "
                   "in the format int-quantized only");
    }
  }
  return spec;
}

/// Whether an entry of `ignore` means a layer.
class Entry {
 public:
  explicit Entry(const std::string& entry) : name_(entry) {
    if (!entry.starts_with("re:")) return;
    pattern_.emplace(
        "(?:" + entry.substr(3) + ").*",
        unicode::PatternOptions{.whole = true, .unicode_classes = false, .match_limit = 100'000},
        entry);
  }
  bool matches(const std::string& name) const {
    return pattern_ ? pattern_->matches(name) : name == name_;
  }

 private:
  std::string name_;
  std::optional<unicode::Pattern> pattern_;
};

/// Joined, the first few of them.
std::string listed(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kMaxListed);
  std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + shown, ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

Json weights_json(const kernels::WeightFormat& format) {
  return {{"num_bits", format.bits},
          {"type", "int"},
          {"symmetric", true},
          {"strategy", format.group > 0 ? "group" : "channel"},
          {"group_size", format.group > 0 ? Json(format.group) : Json()},
          {"dynamic", false},
          {"block_structure", nullptr},
          {"actorder", nullptr},
          {"observer", "minmax"},
          {"observer_kwargs", Json::object()}};
}

Json inputs_json() {
  return {{"num_bits", 8},
          {"type", "int"},
          {"symmetric", true},
          {"strategy", "token"},
          {"group_size", nullptr},
          {"dynamic", true},
          {"block_structure", nullptr},
          {"actorder", nullptr},
          {"observer", nullptr},
          {"observer_kwargs", Json::object()}};
}

}  // namespace

std::optional<QuantisedLayers> read_quantised_layers(const Json& config,
                                                     const std::string& source) {
  const auto own = config.find(kConfig);
  if (own == config.end() || !own->is_object() || own->value("quant_method", Json()) != kMethod) {
    return std::nullopt;
  }
  std::vector<std::string> problems;
  Keys keys(*own, std::string("/") + kConfig, problems);
  QuantisedLayers layers;
  only(keys, "kv_cache_scheme", nullptr);
  only_empty(keys, "sparsity_config");
  only_empty(keys, "transform_config");
  if (const Json* ignore = keys.find("ignore")) {
    for (const Json& entry : *ignore) {
      if (entry.is_string()) {
        layers.ignore.push_back(entry);
      } else {
        keys.problem("ignore", "expected names, got " + shown(entry));
      }
    }
  }
  const Json& groups = keys.required_object("config_groups");
  if (groups.size() != 1 || !groups.begin()->is_object()) {
    keys.problem("config_groups", "exactly one group is supported");
  } else {
    layers.spec = read_group(keys.below(*groups.begin(), "config_groups/" + groups.begin().key()),
                             keys.text("format").value_or(""));
  }
  for (const std::string& entry : layers.ignore) {
    try {
      Entry{entry};
    } catch (const Error& error) {
      keys.problem("ignore", error.what());
    }
  }
  if (!problems.empty()) throw IoError(source, joined(problems));
  return layers;
}

std::vector<NamedLinear> block_linears(const DecoderImpl& decoder) {
  std::vector<NamedLinear> all;
  for (const auto& item : decoder.named_modules("", /*include_self=*/false)) {
    auto* layer = item.value()->as<nn::LinearImpl>();
    if (!layer) continue;
    const std::string name = checkpoint_name(item.key());
    if (layer_of(name).value_or(0) < decoder.config().num_hidden_layers) {
      all.push_back({name, layer});
    }
  }
  return all;
}

std::vector<NamedLinear> quantised_linears(const DecoderImpl& decoder,
                                           const QuantisedLayers& layers,
                                           std::vector<std::string>* unused) {
  const std::vector<Entry> entries(layers.ignore.begin(), layers.ignore.end());
  std::vector<bool> used(entries.size());
  std::vector<NamedLinear> left;
  for (NamedLinear& linear : block_linears(decoder)) {
    bool ignored = false;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (!entries[i].matches(linear.name)) continue;
      ignored = used[i] = true;
    }
    if (!ignored) left.push_back(std::move(linear));
  }
  for (size_t i = 0; unused && i < used.size(); ++i) {
    if (!used[i]) unused->push_back(layers.ignore[i]);
  }
  return left;
}

QuantisedLayers with_defaults(const DecoderImpl& decoder, QuantisedLayers layers) {
  for (const NamedLinear& linear : block_linears(decoder)) {
    if (linear.name.ends_with(".kv_b_proj")) layers.ignore.push_back(linear.name);
  }
  return layers;
}

std::vector<std::string> quantisation_problems(const DecoderImpl& decoder,
                                               const QuantisedLayers& layers) {
  if (!decoder.config().model_type->quantises()) {
    return {fmt::format("layers of a {} model cannot be quantised yet",
                        enum_name(decoder.config().model_type))};
  }
  std::vector<std::string> problems, unused, odd;
  const auto linears = quantised_linears(decoder, layers, &unused);
  if (!unused.empty()) {
    problems.push_back(
        fmt::format("ignore: {} meet no linear layer of the blocks, whose names are "
                    "like {}",
                    listed(unused), block_linears(decoder).front().name));
  }
  if (linears.empty()) problems.push_back("ignore: leaves no layer to quantise");
  const int64_t group = layers.spec.weight.group;
  for (const NamedLinear& linear : linears) {
    const int64_t columns = linear.layer->options.in;
    if (group > 0 && columns % group != 0) {
      odd.push_back(fmt::format("{} ({})", linear.name, columns));
    }
  }
  if (!odd.empty()) {
    problems.push_back(
        fmt::format("group: {} does not divide the columns of {}; choose another, or "
                    "ignore these layers",
                    group, listed(odd)));
  }
  return problems;
}

void quantise_decoder(DecoderImpl& decoder, QuantisedLayers layers) {
  if (decoder.config().quantised) throw Error("the model is quantised already");
  if (!decoder.config().sharing.empty()) {
    throw Error("layers that share weights (hone_sharing) cannot be quantised yet");
  }
  if (nn::numel(decoder, nn::Role::kAdapter) > 0) {
    throw Error("a model that carries an adapter cannot be quantised: merge it first");
  }
  const auto problems = quantisation_problems(decoder, layers);
  if (!problems.empty()) throw Error(joined(problems));
  for (const NamedLinear& linear : quantised_linears(decoder, layers)) {
    linear.layer->set_rounding(std::nullopt);
    linear.layer->quantise(layers.spec);
  }
  decoder.set_quantised(std::move(layers));
}

void set_rounding(const DecoderImpl& decoder, const std::optional<QuantisedLayers>& layers) {
  for (const NamedLinear& linear : block_linears(decoder)) {
    if (!linear.layer->is_quantised()) linear.layer->set_rounding(std::nullopt);
  }
  if (!layers) return;
  for (const NamedLinear& linear : quantised_linears(decoder, *layers)) {
    linear.layer->set_rounding(layers->spec);
  }
}

void copy_numbers(const DecoderImpl& from, DecoderImpl& decoder) {
  const at::NoGradGuard no_grad;
  const auto modules = from.named_modules("", /*include_self=*/false);
  const auto named = from.named_parameters(), buffers = from.named_buffers();
  for (const auto& item : decoder.named_parameters()) {
    const at::Tensor* own = named.find(item.key());
    const std::string module = item.key().substr(0, item.key().rfind('.'));
    at::Tensor to = item.value();
    to.copy_(own ? *own : kernels::dequantise(modules[module]->as<nn::LinearImpl>()->codes()));
  }
  for (const auto& item : decoder.named_buffers()) {
    at::Tensor to = item.value();
    to.copy_(buffers[item.key()]);
  }
}

Json quantisation_json(const DecoderImpl& decoder) {
  const nn::QuantisationSpec& spec = decoder.config().quantised.value().spec;
  const char* format = spec.weight.packed ? kPacked : kBytes;
  Json ignore = {"lm_head"};
  bool experts = false;
  for (const NamedLinear& linear : block_linears(decoder)) {
    if (!linear.layer->is_quantised()) ignore.push_back(linear.name);
  }
  for (const nn::DecoderBlock& block : decoder.layers) experts |= block->mlp->idle() > 0;
  if (experts) {
    ignore.push_back("re:.*mlp\\.gate$");
    ignore.push_back("re:.*mlp\\.experts\\..*");
  }
  return {{"quant_method", kMethod},
          {"format", format},
          {"quantization_status", "compressed"},
          {"version", "0.15.0"},
          {"global_compression_ratio", nullptr},
          {"kv_cache_scheme", nullptr},
          {"sparsity_config", Json::object()},
          {"transform_config", Json::object()},
          {"ignore", ignore},
          {"config_groups",
           {{"group_0",
             {{"targets", {"Linear"}},
              {"format", format},
              {"weights", weights_json(spec.weight)},
              {"input_activations", spec.inputs.rounds ? inputs_json() : Json()},
              {"output_activations", nullptr}}}}}};
}

}  // namespace hone::model
