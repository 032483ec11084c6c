#include "hone/model/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/core/log.h"
#include "hone/io/atomic.h"
#include "hone/io/quantisation.h"
#include "hone/io/quantised_tensors.h"
#include "hone/io/quantised_weights.h"
#include "hone/nn/anatomy.h"

namespace hone::model {
namespace {

constexpr size_t kMaxListed = 20;

bool ignored(const std::string& name, const DecoderConfig& config) {
  return name.ends_with("rotary_emb.inv_freq") ||
         (config.tie_word_embeddings && name == "lm_head.weight");
}

bool travels(const std::string& name, const Decoder& decoder) {
  return decoder->config().model_type->travels(name, decoder->config());
}

/// Codes must be of the decoder's type, and what a file says of the shape of packed ones must be
/// what the decoder's layer has.
std::optional<std::string> code_problem(const io::Checkpoint& checkpoint, const std::string& name,
                                        const at::Tensor& own) {
  const bool codes = name.ends_with(".weight_packed") || own.scalar_type() == at::kChar;
  if (codes && checkpoint.dtype(name) != own.scalar_type()) {
    return fmt::format("tensor {} is {}, but its codes must be {}", name,
                       c10::toString(checkpoint.dtype(name)), c10::toString(own.scalar_type()));
  }
  if (!name.ends_with(".weight_shape")) return std::nullopt;
  const at::Tensor said = checkpoint.load(name).to(at::kLong);
  if (at::equal(said, own)) return std::nullopt;
  return fmt::format("tensor {} says [{}, {}], but the weight is [{}, {}]", name,
                     said[0].item<int64_t>(), said[1].item<int64_t>(), own[0].item<int64_t>(),
                     own[1].item<int64_t>());
}

/// Why the checkpoint is none of this decoder.
std::vector<std::string> compare(const io::Checkpoint& checkpoint,
                                 const io::QuantisedWeights& weights, const Decoder& decoder) {
  std::vector<std::string> problems;
  std::set<std::string> known;
  const std::vector<std::string> names = weights.names();
  const std::set<std::string> there(names.begin(), names.end());
  for (const CheckpointTensor& tensor : decoder->checkpoint_tensors()) {
    const std::string& name = tensor.name;
    const std::vector<int64_t> shape = tensor.shape();
    known.insert(name);
    if (!there.contains(name)) {
      const bool extra = layer_of(name).value_or(0) >= decoder->config().num_hidden_layers;
      problems.push_back(fmt::format(
          "tensor {} is missing{}", name,
          extra ? ": the layer for multi-token prediction cannot be trained without it" : ""));
    } else if (const auto found = weights.shape(name); found != shape) {
      problems.push_back(fmt::format("tensor {} must be {}, got {}", name,
                                     fmt::streamed(at::IntArrayRef(shape)),
                                     fmt::streamed(at::IntArrayRef(found))));
    } else if (const auto problem = weights.problem(
                   name, at::isIntegralType(tensor.parts.front().scalar_type(), false))) {
      problems.push_back(*problem);
    } else if (const auto problem = code_problem(checkpoint, name, tensor.parts.front())) {
      problems.push_back(*problem);
    }
  }
  for (const std::string& name : names) {
    if (!known.contains(name) && !ignored(name, decoder->config()) && !travels(name, decoder)) {
      problems.push_back(fmt::format("tensor {} is not part of a {} model", name,
                                     enum_name(decoder->config().model_type)));
    }
  }
  if (problems.size() > kMaxListed) {
    const size_t more = problems.size() - kMaxListed;
    problems.resize(kMaxListed);
    problems.push_back(fmt::format("and {} more", more));
  }
  return problems;
}

/// Throws: IoError unless all integers of tables are in their range.
void check_choices(const Decoder& decoder, const std::string& folder) {
  std::vector<std::string> problems;
  const std::vector<CheckpointTensor> stored = decoder->checkpoint_tensors();
  for (const nn::ModuleTensor& own : decoder->tensors()) {
    if (own.choices == 0 || own.tensor.numel() == 0) continue;
    const auto least = own.tensor.min().item<int64_t>(), most = own.tensor.max().item<int64_t>();
    if (least >= 0 && most < own.choices) continue;
    const auto name = std::find_if(stored.begin(), stored.end(), [&](const auto& tensor) {
      return tensor.parts.front().is_same(own.tensor);
    });
    problems.push_back(fmt::format("tensor {} must hold integers in [0, {}), got {} to {}",
                                   name->name, own.choices, least, most));
  }
  if (!problems.empty()) throw IoError(folder, joined(problems));
}

void copy_weights(const io::QuantisedWeights& weights, Decoder& decoder,
                  const std::string& folder) {
  const torch::NoGradGuard no_grad;
  for (const CheckpointTensor& tensor : decoder->checkpoint_tensors()) {
    int64_t begin = 0;
    for (const at::Tensor& part : tensor.parts) {
      weights.read(tensor.name, begin, part);
      begin += part.size(0);
    }
  }
  check_choices(decoder, folder);
}

/// Whether layers that share have different projections in the checkpoint.
bool shared_differ(const io::QuantisedWeights& weights, const Decoder& decoder) {
  std::set<const void*> shared;
  for (const auto& [name, tensor] : decoder->borrowed())
    shared.insert(tensor.unsafeGetTensorImpl());
  for (const CheckpointTensor& stored : decoder->checkpoint_tensors()) {
    const at::Tensor& read = stored.parts.front();  // the last of the copies
    if (!shared.contains(read.unsafeGetTensorImpl())) continue;
    const at::Tensor copy = at::empty_like(read);
    weights.read(stored.name, 0, copy);
    if (!at::equal(copy, read)) return true;
  }
  return false;
}

/// Whether a copy of the decoder's embedding or head holds what that does.
bool same_table(const io::QuantisedWeights& weights, const std::string& name,
                const Decoder& decoder) {
  const at::Tensor table = copied_table(name) == CopiedTable::kHead ? decoder->lm_weight()
                                                                    : decoder->embed_tokens->weight;
  if (weights.shape(name) != table.sizes()) return false;
  const at::Tensor copy = at::empty_like(table);
  weights.read(name, 0, copy);
  return at::equal(copy, table);
}

/// What is no part of the computation, and which copies of its tables the checkpoint has.
void take_travelling(const io::Checkpoint& checkpoint, const io::QuantisedWeights& weights,
                     Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  NamedTensors travelling;
  std::vector<std::string> copies;
  for (const std::string& name : weights.names()) {
    if (!travels(name, decoder)) continue;
    if (decoder->config().multi_token > 0 && copied_table(name) != CopiedTable::kNone) {
      copies.push_back(name);
      if (same_table(weights, name, decoder)) continue;
      log_warning(fmt::format(
          "{}: {} differs from the model's own: the layer is trained with that, and the copy is "
          "written as it is then",
          checkpoint.folder(), name));
      continue;
    }
    for (const std::string& each : {name, weights.scales(name)}) {
      if (!each.empty()) travelling.emplace_back(each, checkpoint.load(each));
    }
  }
  decoder->set_travelling(std::move(travelling));
  decoder->set_copies(std::move(copies));
}

/// The type that holds all scales of the layers' integers.
at::ScalarType scale_type(const io::Checkpoint& checkpoint) {
  std::set<at::ScalarType> types;
  for (const std::string& name : checkpoint.names()) {
    if (name.ends_with(".weight_scale")) types.insert(checkpoint.dtype(name));
  }
  return types.size() == 1 && io::is_weight_dtype(io::to_dtype(*types.begin())) ? *types.begin()
                                                                                : at::kFloat;
}

}  // namespace

const char* type_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    case at::kDouble:
      return "float64";
    default:
      throw Error(std::string("weights of dtype ") + c10::toString(dtype) +
                  " cannot be saved; use float32, bfloat16, float16 or float64");
  }
}

Decoder make_decoder(const DecoderConfig& config, at::Device device, at::ScalarType dtype) {
  return Decoder(config, at::TensorOptions().device(device).dtype(dtype));
}

Decoder load_decoder(const io::Checkpoint& checkpoint, at::Device device, at::ScalarType dtype,
                     const LoadOptions& options) {
  DecoderConfig config =
      DecoderConfig::from_json(checkpoint.config(), checkpoint.folder() + "/config.json");
  config.rope.attn_factor_rule = options.attn_factor;
  if (options.multi_token) join_multi_token(config);
  const io::QuantisedWeights weights(checkpoint);
  config.model_type->recognise(config, weights.names());
  if (config.quantised) config.quantised->spec.scale_type = scale_type(checkpoint);
  // First without memory: sizes that the files do not have must not be allocated.
  const auto problems = compare(checkpoint, weights, make_decoder(config, at::kMeta, dtype));
  if (!problems.empty()) throw IoError(checkpoint.folder(), joined(problems));
  Decoder decoder = make_decoder(config, device, dtype);
  copy_weights(weights, decoder, checkpoint.folder());
  if (config.quantised && options.as_numbers) {
    config.quantised.reset();
    const Decoder quantised = std::exchange(decoder, make_decoder(config, device, dtype));
    copy_numbers(*quantised, *decoder);
  }
  if (shared_differ(weights, decoder)) {
    log_warning(checkpoint.folder() +
                "/config.json: hone_sharing names layers whose q_proj and k_proj differ: each is "
                "loaded with its own");
    config.sharing.clear();
    decoder = make_decoder(config, device, dtype);
    copy_weights(weights, decoder, checkpoint.folder());
  }
  take_travelling(checkpoint, weights, decoder);
  return decoder;
}

void read_weights(Decoder& decoder, const io::Checkpoint& checkpoint) {
  const io::QuantisedWeights weights(checkpoint);
  const auto problems = compare(checkpoint, weights, decoder);
  if (!problems.empty()) throw IoError(checkpoint.folder(), joined(problems));
  copy_weights(weights, decoder, checkpoint.folder());
}

io::TensorTypes tensor_types(const io::Checkpoint& checkpoint) {
  io::TensorTypes types;
  for (const std::string& name : checkpoint.names()) {
    const at::ScalarType type = checkpoint.dtype(name);
    const bool index = at::isIntegralType(type, false) && c10::elementSize(type) > 1;  // no codes
    if (index || io::is_weight_dtype(checkpoint.info(name).dtype)) types[name] = type;
  }
  return types;
}

io::TensorTypes storable_types(const NamedTensors& tensors, io::TensorTypes wanted) {
  constexpr double kLargestHalf = 65504;
  for (const auto& [name, tensor] : tensors) {
    const auto found = wanted.find(name);
    if (found == wanted.end() || found->second != at::kHalf || tensor.numel() == 0) continue;
    const double largest = tensor.detach().abs().max().item<double>();
    if (!std::isfinite(largest) || largest <= kLargestHalf) continue;
    log_warning(fmt::format("{} holds {:g}, more than float16 can hold: it is saved as float32",
                            name, largest));
    found->second = at::kFloat;
  }
  return wanted;
}

at::ScalarType main_type(const NamedTensors& tensors, const io::TensorTypes& types) {
  std::map<at::ScalarType, int64_t> elements;
  for (const auto& [name, tensor] : tensors) {
    const at::ScalarType type = io::written_type(name, tensor, types);
    if (io::is_weight_dtype(io::to_dtype(type))) elements[type] += tensor.numel();
  }
  TORCH_CHECK_VALUE(!elements.empty(), "main_type: there is no tensor of weights");
  return std::max_element(elements.begin(), elements.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

bool has_adapter(const Decoder& decoder) { return nn::numel(*decoder, nn::Role::kAdapter) > 0; }

Json decoder_config_json(const Decoder& decoder, Json config,
                         const io::CheckpointOptions& options) {
  config["vocab_size"] = decoder->config().vocab_size;
  if (!options.quantised_as) {
    config = io::without_quantisation(std::move(config));
    const bool new_form = config.contains("dtype") && !config.contains("torch_dtype");
    config[new_form ? "dtype" : "torch_dtype"] =
        type_name(main_type(decoder->hf_tensors(), options.types));
  }
  if (decoder->config().quantised) config["quantization_config"] = quantisation_json(*decoder);
  config.erase("hone_pruned");
  const auto& pruned = decoder->config().pruned;
  if (!pruned.empty()) config["hone_pruned"] = pruned_json(pruned);
  config.erase("hone_sharing");
  const LayerGroups& sharing = decoder->config().sharing;
  if (!sharing.empty()) config["hone_sharing"] = sharing_json(sharing);
  return config;
}

void write_decoder(const std::string& folder, const Decoder& decoder, const Json& config,
                   const io::CheckpointOptions& options, Adapter adapter) {
  if (adapter == Adapter::kRefused && has_adapter(decoder)) {
    throw Error(
        "write_decoder: the decoder carries an adapter; merge it first, or save it as "
        "adapter_files");
  }
  NamedTensors tensors = decoder->hf_tensors();
  if (!options.quantised_as) {
    tensors = io::as_numbers(tensors, config, main_type(tensors, options.types), "config.json");
  }
  io::write_checkpoint(folder, decoder_config_json(decoder, config, options), tensors, options);
}

void save_decoder(const std::string& folder, const Decoder& decoder, const Json& config,
                  const io::CheckpointOptions& options, Adapter adapter) {
  io::AtomicFolder whole(folder, io::AtomicFolder::Existing::kReplace);
  write_decoder(whole.path(), decoder, config, options, adapter);
  whole.commit();
}

}  // namespace hone::model
