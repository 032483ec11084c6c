#include "hone/run/student.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "hone/core/error.h"
#include "hone/model/checkpoint.h"
#include "hone/model/pruned/pruning.h"
#include "hone/model/pruned/residual_stream.h"
#include "hone/model/pruned/selection.h"
#include "hone/nn/anatomy.h"

namespace hone::run {
namespace {

using model::UnitKind;

constexpr const char *kLayers = "num_hidden_layers", *kHeads = "num_attention_heads",
                     *kKeyHeads = "num_key_value_heads", *kChannels = "intermediate_size",
                     *kWidth = "hidden_size";

int64_t key_heads(const Json& config) { return config.value(kKeyHeads, config.at(kHeads)); }

/// What each unit's output is worth on the text.
model::Importances measured(model::Decoder& decoder, UnitKind kind,
                            const std::vector<model::DecoderInput>& text) {
  model::add_gates(decoder, {kind});
  model::measure(decoder, kind, nn::Importance::kOutputNorm);
  decoder->train();
  for (const model::DecoderInput& input : text) {
    decoder->hidden(input).sum().backward();  // gates sum in the backward pass
    for (at::Tensor& parameter : decoder->parameters()) parameter.mutable_grad() = at::Tensor();
  }
  decoder->eval();
  model::measure(decoder, kind, std::nullopt);
  return model::importances(decoder, kind);
}

void cut_layers(model::Decoder& decoder, int64_t count, const model::Passes& passes) {
  const std::vector<double> importances = model::block_importances(decoder, passes);
  model::add_gates(decoder, {UnitKind::kLayers});
  const auto left = static_cast<int64_t>(importances.size());
  const model::FixedLayers fixed =
      count < 3 ? model::FixedLayers{std::min<int64_t>(count, 1), 0} : model::FixedLayers{};
  if (count < left) {
    model::set_masks(decoder, UnitKind::kLayers,
                     model::strongest_layers(decoder, importances, count, fixed));
  }
  model::cut(decoder, UnitKind::kLayers);
}

}  // namespace

Json student_config(const StudentOptions& options, const Json& base_config) {
  const auto base = model::DecoderConfig::from_json(base_config, "config.json");
  if (!base.pruned.empty() || base.quantised || !base.sharing.empty()) {
    throw Error(
        "student: is cut from a whole model, not from one that is pruned, shares layers or "
        "holds integers");
  }
  model::check_dense(model::make_decoder(base, at::kMeta, at::kFloat));
  const int64_t heads = base_config.at(kHeads), each = heads / key_heads(base_config);
  const int64_t key_left = options.num_key_value_heads.value_or(key_heads(base_config));
  const int64_t heads_left = options.num_attention_heads.value_or(key_left * each);
  std::vector<Problem> problems;
  const auto at = [](const char* key) { return std::string("/student/") + key; };
  const auto most = [&](const char* key, const std::optional<int64_t>& size, int64_t own) {
    if (size && *size > own) {
      problems.push_back({at(key), fmt::format("{} cannot be cut from a base of {}", *size, own)});
    }
  };
  most(kLayers, options.num_hidden_layers, base.num_hidden_layers);
  most(kKeyHeads, options.num_key_value_heads, key_heads(base_config));
  most(kChannels, options.intermediate_size, base_config.at(kChannels));
  most(kWidth, options.hidden_size, base.hidden_size);
  if (heads_left % key_left != 0 || heads_left / key_left > each) {
    problems.push_back({at(kHeads), fmt::format("{} query heads cannot be shared out among {} key "
                                                "heads, each of which has {} in the base",
                                                heads_left, key_left, each)});
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
  Json config = base_config;
  config["head_dim"] = base.head_dim;
  config[kHeads] = heads_left;
  config[kKeyHeads] = key_left;
  const int64_t layers = options.num_hidden_layers.value_or(base.num_hidden_layers);
  config[kLayers] = layers;
  if (config.contains("layer_types"))
    config["layer_types"].get_ref<Json::array_t&>().resize(layers);
  config[kChannels] = options.intermediate_size.value_or(base_config.at(kChannels));
  config[kWidth] = options.hidden_size.value_or(base.hidden_size);
  const bool turned = options.hidden_size && options.width == KeptWidth::kPrincipal;
  if (base.tie_word_embeddings) config["tie_word_embeddings"] = !turned || options.keep_tied;
  return config;
}

model::PlainModel cut_student(model::PlainModel base, const StudentOptions& options,
                              const std::vector<model::DecoderInput>& text) {
  const Json wanted = student_config(options, base.config);
  model::Decoder& decoder = base.decoder;
  decoder->eval();
  const auto passes_of = [&text](model::Decoder& of) {
    return [&text, of]() mutable {
      const at::NoGradGuard no_grad;
      for (const model::DecoderInput& input : text) of->hidden(input);
    };
  };
  if (options.num_hidden_layers) {
    cut_layers(decoder, *options.num_hidden_layers, passes_of(decoder));
  }
  if (options.num_key_value_heads || options.num_attention_heads) {
    const auto found = measured(decoder, UnitKind::kHeads, text);
    model::set_masks(
        decoder, UnitKind::kHeads,
        model::strongest_heads(decoder, found, wanted.at(kKeyHeads), wanted.at(kHeads)));
    model::cut(decoder, UnitKind::kHeads);
  }
  if (options.intermediate_size) {
    const auto found = measured(decoder, UnitKind::kChannels, text);
    model::set_masks(decoder, UnitKind::kChannels,
                     model::strongest_channels(found, *options.intermediate_size));
    model::cut(decoder, UnitKind::kChannels);
  }
  model::PlainModel student = model::plain_model(decoder, base.config);
  if (!options.hidden_size) return student;
  const model::Passes passes = passes_of(student.decoder);
  const auto basis =
      options.width == KeptWidth::kPrincipal
          ? model::principal_basis(student.decoder, *options.hidden_size, passes)
          : model::strongest_channels_basis(student.decoder, *options.hidden_size, passes);
  return model::narrow(student, basis, options.keep_tied);
}

int64_t parameters_in_blocks(const model::Decoder& decoder) {
  const bool head = !decoder->config().tie_word_embeddings;
  return nn::parameters(*decoder) - decoder->embed_tokens->weight.numel() -
         (head ? decoder->lm_weight().numel() : 0);
}

Json student_report(const model::Decoder& student, int64_t base_parameters,
                    int64_t base_in_blocks) {
  return {{"parameters", nn::parameters(*student)},
          {"parameters_in_blocks", parameters_in_blocks(student)},
          {"base_parameters", base_parameters},
          {"base_parameters_in_blocks", base_in_blocks}};
}

}  // namespace hone::run
