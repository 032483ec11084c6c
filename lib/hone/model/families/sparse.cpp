#include "hone/model/families/sparse.h"

#include <fmt/format.h>

#include <algorithm>
#include <any>
#include <initializer_list>
#include <string_view>

#include "hone/core/error.h"
#include "hone/model/decoder.h"
#include "hone/model/multi_token.h"

namespace hone::model {
namespace {

constexpr int64_t kMaxExperts = 1 << 17;  // of all layers; V4-Pro has 23,424
constexpr std::string_view kGateUp = "mlp.experts.gate_up_proj", kDown = "mlp.experts.down_proj";

/// The tensors of one expert each of a stacked tensor, whose name is `prefix` and one of the above.
void add_single(const std::string& prefix, bool gate_up, const at::Tensor& stacked,
                std::vector<CheckpointTensor>& all) {
  for (int64_t e = 0; e < stacked.size(0); ++e) {
    const std::string expert = fmt::format("{}mlp.experts.{}.", prefix, e);
    if (gate_up) {
      const auto halves = stacked[e].chunk(2, 0);
      all.push_back({expert + "gate_proj.weight", {halves[0]}});
      all.push_back({expert + "up_proj.weight", {halves[1]}});
    } else {
      all.push_back({expert + "down_proj.weight", {stacked[e]}});
    }
  }
}

}  // namespace

const SparseOptions& sparse_options(const DecoderConfig& config) {
  return *std::any_cast<SparseOptions>(&config.own);
}

void SparseFamily::recognise(DecoderConfig& config, const std::vector<std::string>& names) const {
  std::any_cast<SparseOptions>(&config.own)->stacked = std::any_of(
      names.begin(), names.end(), [](const std::string& name) { return name.ends_with(kGateUp); });
}

std::vector<CheckpointTensor> SparseFamily::checkpoint_tensors(const NamedTensors& base,
                                                               const DecoderConfig& config) const {
  if (sparse_options(config).stacked) return Family::checkpoint_tensors(base, config);
  std::vector<CheckpointTensor> all;
  for (const auto& [name, tensor] : base) {
    const bool gate_up = name.ends_with(kGateUp);
    if (gate_up || name.ends_with(kDown)) {
      const size_t stem = name.size() - (gate_up ? kGateUp : kDown).size();
      add_single(name.substr(0, stem), gate_up, tensor, all);
    } else {
      all.push_back({name, {tensor}});
    }
  }
  return all;
}

RoutedExperts SparseFamily::experts(const DecoderConfig& config, int64_t layer) const {
  const SparseOptions& own = sparse_options(config);
  const nn::RouterOptions& router = own.experts.router;
  if (!own.sparse.at(layer)) return {};
  return {router.experts, router.groups, router.least()};
}

int64_t SparseFamily::experts_left(const DecoderConfig& config) {
  int64_t left = 0;
  for (const LayerSizes& layer : layer_sizes(config)) {
    if (layer.experts == 0) continue;
    if (left != 0 && left != layer.experts) {
      throw Error(
          fmt::format("config.json has one number of experts for all layers, but layer {} "
                      "has {} left and others {}: cut as many of each",
                      layer.index, layer.experts, left));
    }
    left = layer.experts;
  }
  return left;
}

bool SparseFamily::travels(const std::string& name, const DecoderConfig& config) const {
  const SparseOptions& own = sparse_options(config);
  const int64_t layer = layer_of(name).value_or(-1), layers = config.num_hidden_layers;
  const bool empty = own.empty_shared && name.find(".mlp.shared_experts.") != std::string::npos;
  const bool extra = layer >= layers && layer < layers + own.extra_layers;
  return empty || (extra && (config.multi_token == 0 || copied_table(name) != CopiedTable::kNone));
}

int64_t SparseFamily::multi_token_layers(const DecoderConfig& config) const {
  return sparse_options(config).extra_layers;
}

void SparseFamily::keep_layers(Json& json, const std::vector<int64_t>& left,
                               const DecoderConfig& config) const {
  Family::keep_layers(json, left, config);
  const std::vector<bool>& sparse = sparse_options(config).sparse;
  const auto has_experts = [&](int64_t layer) -> bool { return sparse[layer]; };
  const auto first = std::find_if(left.begin(), left.end(), has_experts);
  if (!std::all_of(first, left.end(), has_experts)) {
    throw Error(
        "config.json cannot say which of the layers that are left have experts: they must "
        "be the last ones");
  }
  if (first != left.end()) json["n_routed_experts"] = experts_left(config);
  json["first_k_dense_replace"] = first - left.begin();
  json["moe_layer_freq"] = 1;
  if (json.contains("num_nextn_predict_layers")) json["num_nextn_predict_layers"] = 0;
}

nn::FeedForward SparseFamily::feed_forward(const DecoderConfig& config, const LayerSizes& sizes,
                                           const at::TensorOptions& tensor_options) const {
  const SparseOptions& own = sparse_options(config);
  if (!own.sparse.at(sizes.index)) return CommonFamily::feed_forward(config, sizes, tensor_options);
  nn::MoeOptions options = own.experts;
  options.router.experts = sizes.experts;
  return nn::Moe(options, tensor_options);
}

std::vector<std::string> SparseFamily::expert_keys() {
  return {"n_routed_experts",      "num_experts_per_tok", "n_shared_experts",
          "moe_intermediate_size", "norm_topk_prob",      "routed_scaling_factor",
          "first_k_dense_replace"};
}

SparseOptions SparseFamily::read_experts(Keys& keys, const DecoderConfig& config) {
  SparseOptions own;
  own.extra_layers = keys.integer("num_nextn_predict_layers", 0, 1000).value_or(0);
  const int64_t layers = config.num_hidden_layers + own.extra_layers;
  own.sparse.assign(layers, false);
  if (!keys.find("n_routed_experts")) return own;
  nn::RouterOptions& router = own.experts.router;
  router.dim = config.hidden_size;
  router.experts = keys.required_integer("n_routed_experts", 1, kMaxExperts);
  router.chosen = keys.required_integer("num_experts_per_tok", 1, kMaxExperts);
  router.scale = keys.number("routed_scaling_factor", 0, 1e6).value_or(1);
  own.experts.hidden = keys.required_integer("moe_intermediate_size", 1, kMaxWidth);
  const auto shared = keys.integer("n_shared_experts", 0, 1000);
  own.empty_shared = shared == 0;
  own.experts.shared_hidden = shared.value_or(0) * own.experts.hidden;
  own.experts.shared_bias = config.mlp_bias;
  const int64_t first = keys.integer("first_k_dense_replace", 0, 100000).value_or(0);
  const int64_t every = keys.integer("moe_layer_freq", 1, 100000).value_or(1);
  for (int64_t i = first; i < layers; ++i) own.sparse[i] = i % every == 0;
  check_choice(keys, router, config, own.extra_layers);
  return own;
}

void SparseFamily::require_said(Keys& keys, std::initializer_list<const char*> wanted) {
  if (!keys.find("n_routed_experts")) return;
  for (const char* key : wanted) {
    if (!keys.has(key)) keys.problem(key, "is missing, and has no default that all agree on");
  }
}

void SparseFamily::read_groups(Keys& keys, int64_t top, nn::RouterOptions& router) {
  if (router.experts == 0) return;
  router.groups = keys.integer("n_group", 1, kMaxExperts).value_or(1);
  router.chosen_groups = keys.integer("topk_group", 1, kMaxExperts).value_or(1);
  router.group_top = top;
  const int64_t size = std::max<int64_t>(1, router.experts / router.groups);
  if (router.experts % router.groups != 0) {
    keys.problem("n_group", fmt::format("must divide n_routed_experts {}, got {}", router.experts,
                                        router.groups));
  } else if (router.chosen_groups > router.groups) {
    keys.problem("topk_group", fmt::format("must be at most n_group {}, got {}", router.groups,
                                           router.chosen_groups));
  } else if (router.chosen > router.chosen_groups * size && router.chosen <= router.experts) {
    keys.problem("num_experts_per_tok",
                 fmt::format("must be at most the {} experts of topk_group {} groups, got {}",
                             router.chosen_groups * size, router.chosen_groups, router.chosen));
  } else if (router.chosen_groups < router.groups && top > size) {
    keys.problem("n_group",
                 fmt::format("leaves {} experts a group; a group counts its best {}", size, top));
  }
}

void SparseFamily::check_choice(Keys& keys, const nn::RouterOptions& router,
                                const DecoderConfig& config, int64_t extra_layers) {
  const int64_t layers = config.num_hidden_layers + extra_layers;
  if (router.experts * layers > kMaxExperts) {
    keys.problem("n_routed_experts", fmt::format("{} in each of {} layers are more than {} experts",
                                                 router.experts, layers, kMaxExperts));
  }
  if (router.chosen > router.experts) {
    keys.problem("num_experts_per_tok", fmt::format("must be at most the {} experts, got {}",
                                                    router.experts, router.chosen));
  }
}

}  // namespace hone::model
