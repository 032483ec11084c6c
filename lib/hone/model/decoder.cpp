#include "hone/model/decoder.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <charconv>
#include <system_error>
#include <tuple>

#include "hone/core/error.h"
#include "hone/kernels/product.h"
#include "hone/nn/checkpointing.h"
#include "hone/nn/latent_attention.h"

namespace hone::model {
namespace {

const std::string kLayers = "model.layers.";

void check(const DecoderInput& input) {
  TORCH_CHECK_VALUE(input.ids.dim() == 1 && input.ids.scalar_type() == at::kLong,
                    "Decoder: ids must be int64 [T], got ", input.ids.scalar_type(), " ",
                    input.ids.sizes());
  TORCH_CHECK_VALUE(
      input.positions.sizes() == input.ids.sizes() && input.positions.scalar_type() == at::kLong,
      "Decoder: positions must be int64 [T] with T = ", input.ids.size(0), ", got ",
      input.positions.scalar_type(), " ", input.positions.sizes());
  TORCH_CHECK_VALUE(input.segments.documents() > 0 && input.segments.tokens() == input.ids.size(0),
                    "Decoder: segments must cover the T = ", input.ids.size(0), " ids");
}

/// Rows [n, k] of different integers in [0, choices) each.
at::Tensor drawn_choices(at::IntArrayRef sizes, int64_t choices, const at::Generator& generator) {
  constexpr int64_t kRows = 4096;  // at once: `choices` random numbers each
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < sizes[0]; begin += kRows) {
    const int64_t rows = std::min(kRows, sizes[0] - begin);
    parts.push_back(std::get<1>(at::rand({rows, choices}, generator).topk(sizes[1])));
  }
  return at::cat(parts);
}

/// Whether the tensor is part of a checkpoint.
bool is_saved(const nn::ModuleTensor& tensor) {
  return tensor.role == nn::Role::kBase || tensor.role == nn::Role::kBuffer ||
         tensor.role == nn::Role::kCodes;
}

}  // namespace

DecoderInput make_input(std::span<const std::vector<int64_t>> documents, at::Device device,
                        std::span<const int64_t> past) {
  TORCH_CHECK_VALUE(past.empty() || past.size() == documents.size(),
                    "make_input: past must have one length for each of ", documents.size(),
                    " documents, got ", past.size());
  std::vector<int64_t> ids, positions, offsets = {0};
  for (size_t d = 0; d < documents.size(); ++d) {
    ids.insert(ids.end(), documents[d].begin(), documents[d].end());
    offsets.push_back(static_cast<int64_t>(ids.size()));
    const int64_t begin = past.empty() ? 0 : past[d];
    for (size_t i = 0; i < documents[d].size(); ++i) {
      positions.push_back(begin + static_cast<int64_t>(i));
    }
  }
  return {torch::tensor(ids, at::kLong).to(device), torch::tensor(positions, at::kLong).to(device),
          kernels::Sequences::from_offsets(std::move(offsets), device)};
}

DecoderImpl::DecoderImpl(const DecoderConfig& config, const at::TensorOptions& tensor_options)
    : config_(config), rotary_(config.rope) {
  const auto table = [&] {
    return nn::Embedding(config.vocab_size, config.hidden_size, tensor_options);
  };
  embed_tokens = register_module("embed_tokens", table());
  blocks_ = register_module("layers", std::make_shared<torch::nn::Module>());
  for (const LayerSizes& sizes : layer_sizes(config)) {
    layers.push_back(config.model_type->block(config, sizes, tensor_options));
    blocks_->register_module(std::to_string(sizes.index), layers.back());
  }
  share_projections(config.sharing);
  for (int64_t depth = 0; depth < config.multi_token; ++depth) {
    const MultiTokenLayer& layer = multi_token.emplace_back(config, depth, tensor_options);
    blocks_->register_module(std::to_string(layer.number), layer.block);
    for (const char* copy : {"embed_tokens.weight", "shared_head.head.weight"}) {
      copies_.push_back(layer_prefix(layer.number) + copy);
    }
  }
  hc_head = config.model_type->head_connection(config, tensor_options);
  if (hc_head) register_module("hc_head", hc_head);
  norm = register_module("norm", config.model_type->norm(config, tensor_options));
  if (!config.tie_word_embeddings) lm_head = register_module("lm_head", table());
  if (config.quantised) {
    for (const NamedLinear& linear : quantised_linears(*this, *config.quantised)) {
      linear.layer->hold_codes(config.quantised->spec);
    }
  }
}

at::Tensor DecoderImpl::hidden(const DecoderInput& input) { return run(input, nullptr); }

at::Tensor DecoderImpl::hidden(const DecoderInput& input, KvCache& cache, int64_t first_row) {
  check(input);
  TORCH_CHECK_VALUE(!is_training(), "Decoder: a cache needs eval mode; call eval() first");
  const at::NoGradGuard no_grad;
  const std::vector<nn::LayerCache> caches = cache.open(first_row, input.segments);
  TORCH_CHECK_VALUE(caches.size() == layers.size(), "Decoder: the cache must have the model's ",
                    layers.size(), " layers, got ", caches.size());
  const at::Tensor x = run(input, caches.data());
  cache.commit(first_row, input.segments);
  return x;
}

at::Tensor DecoderImpl::run(const DecoderInput& input, const nn::LayerCache* caches) {
  check(input);
  auto [cos, sin] = rotary_.tables(input.positions, input.segments, dtype());
  nn::AttentionContext context{
      .segments = input.segments, .cos = cos, .sin = sin, .ids = input.ids};
  at::Tensor x = embed_tokens->noisy(input.ids, input.segments);
  if (hc_head) x = x.unsqueeze(1).repeat({1, hc_head->options.streams, 1});
  for (size_t i = 0; i < layers.size(); ++i) {
    if (caches) context.cache = &caches[i];
    x = pass(layers[i], i, x, context);
    for (const auto& [name, observer] : observers_) observer(i, x);
  }
  return norm(hc_head ? hc_head(x) : x);
}

at::Tensor DecoderImpl::pass(nn::DecoderBlock& block, size_t place, const at::Tensor& x,
                             const nn::AttentionContext& context) {
  if (checkpoint_every_ == 0 || place % checkpoint_every_ != 0) return block(x, context);
  const auto again = [block, context](const at::Tensor& in) mutable { return block(in, context); };
  return nn::checkpoint(again, x);
}

at::Tensor DecoderImpl::further(size_t depth, const at::Tensor& hidden, const DecoderInput& input) {
  check(input);
  MultiTokenLayer& layer = multi_token.at(depth);
  const auto [cos, sin] = rotary_.tables(input.positions, input.segments, dtype());
  const at::Tensor x = layer.joined(embed_tokens(input.ids), hidden);
  return layer.norm(pass(layer.block, layers.size() + depth, x, {input.segments, cos, sin}));
}

at::Tensor DecoderImpl::lm_weight() const {
  return lm_head ? lm_head->table() : embed_tokens->table();
}

at::Tensor DecoderImpl::logits(const at::Tensor& hidden) const {
  return kernels::project(hidden, lm_weight());
}

void DecoderImpl::initialise(uint64_t seed) {
  const torch::NoGradGuard no_grad;
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  for (nn::ModuleTensor& own : tensors()) {
    if (own.role != nn::Role::kBase && own.role != nn::Role::kBuffer) continue;
    if (own.start) {
      own.tensor.fill_(*own.start);
    } else if (own.choices > 0) {
      own.tensor.copy_(drawn_choices(own.tensor.sizes(), own.choices, generator));
    } else {
      own.tensor.copy_(
          at::empty(own.tensor.sizes()).normal_(0, config_.initializer_range, generator));
    }
  }
}

void DecoderImpl::set_checkpointing(int64_t every) {
  TORCH_CHECK_VALUE(every >= 0, "Decoder: checkpoint_every must not be negative, got ", every);
  checkpoint_every_ = every;
}

void DecoderImpl::set_observer(const std::string& name, Observer observer) {
  if (observer) {
    observers_[name] = std::move(observer);
  } else {
    observers_.erase(name);
  }
}

std::vector<std::pair<int64_t, nn::Indexer>> DecoderImpl::indexers() const {
  std::vector<std::pair<int64_t, nn::Indexer>> indexers;
  const auto add = [&indexers](int64_t number, nn::DecoderBlock block) {
    const auto* attention = dynamic_cast<nn::LatentAttentionImpl*>(block->self_attn.get());
    if (attention && attention->indexer) indexers.emplace_back(number, attention->indexer);
  };
  const std::vector<int64_t> numbers = layer_numbers(config_);
  for (size_t i = 0; i < layers.size(); ++i) add(numbers[i], layers[i]);
  for (const MultiTokenLayer& layer : multi_token) add(layer.number, layer.block);
  return indexers;
}

void DecoderImpl::set_index_learning(nn::IndexLearning learning) {
  const auto all = indexers();
  if (all.empty() && learning != nn::IndexLearning::kOff) {
    throw Error("the model has no indexers to train; those of deepseek_v32 have");
  }
  if (learning == nn::IndexLearning::kWarmUp) {
    for (at::Tensor& parameter : parameters()) parameter.set_requires_grad(false);
  }
  for (auto [number, indexer] : all) indexer->set_learning(learning);
}

std::vector<nn::CacheShape> DecoderImpl::cache_shapes() const {
  std::vector<nn::CacheShape> shapes;
  for (const nn::DecoderBlock& layer : layers) shapes.push_back(layer->self_attn->cache_shape());
  return shapes;
}

void DecoderImpl::set_dropout(double dropout) {
  const bool adapted = nn::numel(*this, nn::Role::kAdapter) > 0;
  std::vector<nn::DecoderBlock> blocks = layers;
  for (const MultiTokenLayer& layer : multi_token) blocks.push_back(layer.block);
  for (nn::DecoderBlock& layer : blocks) {
    if (!adapted) layer->branch_dropout = dropout;
    for (const auto& module : layer->modules(/*include_self=*/false)) {
      auto* linear = module->as<nn::LinearImpl>();
      if (linear && linear->has_lora()) linear->set_lora_dropout(dropout);
    }
  }
}

void DecoderImpl::share_projections(const LayerGroups& groups) {
  if (groups.empty()) return;
  if (!config_.pruned.empty()) throw Error("sharing: the layers of a pruned model cannot share");
  if (adapter_) throw Error("sharing: the model carries an adapter; merge it first");
  for (const std::vector<int64_t>& group : groups) {
    for (size_t i = 1; i < group.size(); ++i) {
      layers.at(group[i])->self_attn->share_projections(*layers.at(group[0])->self_attn);
    }
  }
  config_.sharing = groups;
}

void DecoderImpl::keep_layers(const std::vector<size_t>& places, std::vector<PrunedLayer> pruned) {
  const std::vector<LayerSizes> old = layer_sizes(config_);
  std::vector<nn::DecoderBlock> kept;
  for (const size_t place : places) kept.push_back(layers.at(place));
  for (size_t i = 0; i < layers.size(); ++i) {
    if (std::find(places.begin(), places.end(), i) == places.end()) {
      blocks_->unregister_module(std::to_string(old[i].index));
    }
  }
  layers = std::move(kept);
  config_.pruned = std::move(pruned);
}

std::vector<nn::ModuleTensor> DecoderImpl::tensors() const {
  std::vector<nn::ModuleTensor> all = nn::tensors(*this);
  for (nn::ModuleTensor& tensor : all) tensor.name = checkpoint_name(tensor.name);
  return all;
}

NamedTensors DecoderImpl::borrowed() const {
  NamedTensors all;
  for (const std::vector<int64_t>& group : config_.sharing) {
    for (const int64_t layer : group) {
      for (const nn::ModuleTensor& tensor : layers.at(layer)->self_attn->borrowed()) {
        if (is_saved(tensor))
          all.emplace_back(layer_prefix(layer) + "self_attn." + tensor.name, tensor.tensor);
      }
    }
  }
  return all;
}

NamedTensors DecoderImpl::base_tensors() const {
  NamedTensors base;
  for (const nn::ModuleTensor& tensor : tensors()) {
    if (is_saved(tensor)) base.emplace_back(tensor.name, tensor.tensor);
  }
  const NamedTensors copies = borrowed();
  base.insert(base.end(), copies.begin(), copies.end());
  return base;
}

std::vector<CheckpointTensor> DecoderImpl::checkpoint_tensors() const {
  return config_.model_type->checkpoint_tensors(base_tensors(), config_);
}

NamedTensors DecoderImpl::hf_tensors() const {
  NamedTensors tensors;
  for (const CheckpointTensor& tensor : checkpoint_tensors()) {
    tensors.emplace_back(tensor.name, tensor.whole());
  }
  for (const std::string& name : copies_) {
    const bool head = copied_table(name) == CopiedTable::kHead && lm_head;
    tensors.emplace_back(name, head ? lm_head->weight : embed_tokens->weight);
  }
  tensors.insert(tensors.end(), travelling_.begin(), travelling_.end());
  return tensors;
}

std::string checkpoint_name(const std::string& name) {
  return name == "lm_head" || name.starts_with("lm_head.") ? name : "model." + name;
}

std::string layer_prefix(int64_t number) { return kLayers + std::to_string(number) + "."; }

std::optional<int64_t> layer_of(const std::string& name) {
  if (!name.starts_with(kLayers)) return std::nullopt;
  const char* const end = name.data() + name.size();
  int64_t number = 0;
  const auto [after, error] = std::from_chars(name.data() + kLayers.size(), end, number);
  const bool found = error == std::errc() && after != end && *after == '.';
  return found ? std::optional(number) : std::nullopt;
}

}  // namespace hone::model
