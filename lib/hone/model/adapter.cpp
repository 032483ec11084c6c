#include "hone/model/adapter.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <map>
#include <set>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/core/log.h"
#include "hone/io/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/detail/lora_layout.h"
#include "hone/model/detail/peft_config.h"
#include "hone/model/detail/single_experts.h"
#include "hone/nn/experts.h"
#include "hone/nn/linear.h"

namespace hone::model {
namespace {

const std::string kPrefix = "base_model.model.";

void freeze(Decoder& decoder) {
  for (at::Tensor& parameter : decoder->parameters()) parameter.set_requires_grad(false);
}

/// Throws: hone::Error where layers share a target: an adapter's files have one for each layer.
void check_shared(const Decoder& decoder, const std::vector<detail::LoraTarget>& targets) {
  std::set<const void*> shared;
  for (const auto& [name, tensor] : decoder->borrowed())
    shared.insert(tensor.unsafeGetTensorImpl());
  if (shared.empty()) return;
  for (const nn::ModuleTensor& own : decoder->tensors()) {
    if (!shared.contains(own.tensor.unsafeGetTensorImpl())) continue;
    for (const detail::LoraTarget& target : targets) {
      if (own.name != target.name + ".weight") continue;
      throw Error(
          "lora: layers share " + target.name +
          ", and an adapter's files have one for each layer: leave q_proj and k_proj out of "
          "lora.targets, or train the model in full");
    }
  }
}

/// Rows of the embedding and of an untied head that train.
struct TokenRows {
  std::vector<int64_t> embedding, head;
};

void add_adapter(Decoder& decoder, const nn::LoraOptions& options, uint64_t seed,
                 const TokenRows& rows) {
  if (decoder->adapter()) throw Error("lora: the decoder has an adapter already");
  const auto targets = detail::lora_targets(decoder, options);
  const auto saved = detail::saved_modules(decoder, options.modules_to_save);
  for (const auto& [name, tensor] : saved) {
    const bool both = (name == "model.embed_tokens.weight" && !rows.embedding.empty()) ||
                      (name == "lm_head.weight" && !rows.head.empty());
    if (both) throw Error("lora: " + name + " cannot be in modules_to_save and have trained rows");
  }
  if (targets.empty() && saved.empty() && rows.embedding.empty() && rows.head.empty()) {
    throw Error("lora: no module is adapted");
  }
  check_shared(decoder, targets);
  freeze(decoder);
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  for (const detail::LoraTarget& target : targets) target.add(generator);
  for (auto [name, tensor] : saved) tensor.set_requires_grad(true);
  if (!rows.embedding.empty()) decoder->embed_tokens->add_trainable_rows(rows.embedding);
  if (!rows.head.empty()) decoder->lm_head->add_trainable_rows(rows.head);
  decoder->set_adapter(options);
}

/// The rows of the configuration's trainable_token_indices: a list of the embedding's, or lists by
/// module name.
TokenRows read_token_rows(const Json& config, const Decoder& decoder,
                          std::vector<std::string>& problems) {
  const char* const key = "trainable_token_indices";
  TokenRows rows;
  Keys keys(config, "", problems);
  const Json* value = keys.find(key);
  if (!value) return rows;
  if (!value->is_object()) {
    rows.embedding = keys.integers(key, 0, INT64_MAX);
    return rows;
  }
  Keys modules = keys.below(*value, key);
  for (const auto& [name, list] : value->items()) {
    if (name == "embed_tokens" || name == "model.embed_tokens") {
      rows.embedding = modules.integers(name, 0, INT64_MAX);
    } else if (name == "lm_head") {
      rows.head = modules.integers(name, 0, INT64_MAX);
    } else {
      modules.problem(name, "is no embedding of the model");
    }
  }
  if (!decoder->lm_head) {
    if (!rows.head.empty() && rows.head != rows.embedding) {
      keys.problem(key, "embedding and head are tied and must have the same rows");
    }
    rows.head.clear();
  }
  return rows;
}

/// Copies the file's tensors into the adapter; whole embeddings, which PEFT adds after a resize,
/// into the base.
void fill(Decoder& decoder, const io::AdapterFiles& files, std::vector<std::string>& problems) {
  const torch::NoGradGuard no_grad;
  std::set<std::string> used;
  const auto copy = [&](const std::string& name, const at::Tensor& source, at::Tensor target) {
    used.insert(name);
    if (source.sizes() != target.sizes()) {
      problems.push_back(fmt::format("tensor {} must be {}, got {}", name,
                                     fmt::streamed(target.sizes()), fmt::streamed(source.sizes())));
    } else {
      target.copy_(source);
    }
  };
  for (auto& [name, tensor] : detail::adapter_tensors(decoder)) {
    const auto found = files.tensors.find(kPrefix + name);
    if (found == files.tensors.end()) {
      problems.push_back("tensor " + kPrefix + name + " is missing");
    } else {
      copy(found->first, found->second, tensor);
    }
  }
  for (const auto& [name, tensor] : files.tensors) {
    if (used.contains(name)) continue;
    if (name == kPrefix + "model.embed_tokens.weight") {
      copy(name, tensor, decoder->embed_tokens->weight);
    } else if (name == kPrefix + "lm_head.weight" && decoder->lm_head) {
      copy(name, tensor, decoder->lm_head->weight);
    } else {
      problems.push_back("tensor " + name + " belongs to no module of the adapter");
    }
  }
}

/// Throws: hone::Error, which begins with `what`, if the adapter trains tensors of the base.
void check_base_stays(const Decoder& decoder, const char* what) {
  if (decoder->adapter()->modules_to_save.empty() && decoder->embed_tokens->rows().empty()) return;
  throw Error(
      std::string(what) +
      ": the adapter trains modules of the base itself (modules_to_save, or rows of a grown "
      "vocabulary)");
}

void end_adapter(Decoder& decoder) {
  for (at::Tensor& parameter : decoder->parameters()) parameter.set_requires_grad(true);
  decoder->set_adapter(std::nullopt);
}

}  // namespace

void add_lora(Decoder& decoder, const nn::LoraOptions& options, uint64_t seed,
              const std::vector<int64_t>& token_rows) {
  TokenRows rows{token_rows, {}};
  if (decoder->lm_head) rows.head = token_rows;
  const auto targets = detail::lora_targets(decoder, options);
  detail::check_patterns(targets, options);
  if (detail::peft_mistakes(decoder, targets)) {
    log_warning(
        "lora: PEFT 0.21 takes adapters on dense and shared MLPs of a model with experts for those "
        "of its experts and drops them; merge this adapter (hone-merge) to use it there");
  }
  add_adapter(decoder, options, seed, rows);
}

NamedTensors trainable_parameters(const Decoder& decoder) {
  NamedTensors trainable;
  for (const nn::ModuleTensor& tensor : decoder->tensors()) {
    if (tensor.tensor.requires_grad()) trainable.emplace_back(tensor.name, tensor.tensor);
  }
  return trainable;
}

io::AdapterFiles adapter_files(const Decoder& decoder, const std::string& base_name) {
  if (!decoder->adapter()) throw Error("adapter_files: the decoder has no adapter");
  Json rows = nullptr;
  const auto add = [&](const char* name, const std::vector<int64_t>& list) {
    if (!list.empty()) rows[name] = list;
  };
  add("embed_tokens", decoder->embed_tokens->rows());
  if (decoder->lm_head) add("lm_head", decoder->lm_head->rows());
  std::vector<std::string> names;
  for (const detail::LoraTarget& target :
       detail::lora_targets(decoder, *decoder->adapter(), detail::Unmatched::kIgnore)) {
    if (!target.parameter) names.push_back(target.name);
  }
  io::AdapterFiles files;
  files.config = detail::peft_config(*decoder->adapter(), names, rows, base_name);
  for (const auto& [name, tensor] : detail::adapter_tensors(decoder)) {
    files.tensors[kPrefix + name] = tensor.detach();
  }
  return files;
}

AdapterShape adapter_shape(const Json& adapter_config, const std::vector<std::string>& names) {
  std::vector<std::string> problems;
  AdapterShape shape{detail::lora_options(detail::stacked_config(adapter_config, names), problems)};
  if (!problems.empty()) throw Error("adapter_config.json: " + joined(problems));
  const Json rows = adapter_config.value("trainable_token_indices", Json());
  const auto count = [&](const Json& list) {
    shape.token_rows = std::max(shape.token_rows, static_cast<int64_t>(list.size()));
  };
  if (rows.is_array()) count(rows);
  if (rows.is_object()) std::for_each(rows.begin(), rows.end(), count);
  return shape;
}

bool replaces_embeddings(const io::AdapterFiles& files) {
  std::vector<std::string> problems;
  const auto saved = detail::lora_options(files.config, problems).modules_to_save;
  const auto whole = [&](const std::string& module) {
    return files.tensors.contains(kPrefix + module + ".weight") &&
           std::none_of(saved.begin(), saved.end(),
                        [&](const std::string& name) { return module.ends_with(name); });
  };
  return whole("model.embed_tokens") || whole("lm_head");
}

void load_adapter(Decoder& decoder, const io::AdapterFiles& given) {
  const io::AdapterFiles files = detail::stacked(given);
  std::vector<std::string> problems;
  const nn::LoraOptions options = detail::lora_options(files.config, problems);
  const TokenRows rows = read_token_rows(files.config, decoder, problems);
  if (!problems.empty()) throw Error("adapter_config.json: " + joined(problems));
  add_adapter(decoder, options, /*seed=*/0, rows);
  fill(decoder, files, problems);
  if (!problems.empty()) throw Error("adapter: " + joined(problems));
}

void merge_lora(Decoder& decoder) {
  if (!decoder->adapter()) return;
  for (const auto& module : decoder->modules()) {
    if (auto* layer = module->as<nn::LinearImpl>()) layer->merge_lora();
    if (auto* experts = module->as<nn::ExpertsImpl>()) experts->merge_lora();
    if (auto* table = module->as<nn::EmbeddingImpl>()) table->merge_trainable_rows();
  }
  end_adapter(decoder);
}

void drop_lora(Decoder& decoder) {
  if (!decoder->adapter()) return;
  check_base_stays(decoder, "drop_lora");
  for (const auto& module : decoder->modules()) {
    if (auto* layer = module->as<nn::LinearImpl>()) layer->drop_lora();
    if (auto* experts = module->as<nn::ExpertsImpl>()) experts->drop_lora();
  }
  end_adapter(decoder);
}

Decoder frozen_base(const Decoder& decoder) {
  if (decoder->adapter()) check_base_stays(decoder, "frozen_base");
  std::map<std::string, nn::ModuleTensor> theirs;
  for (const nn::ModuleTensor& tensor : decoder->tensors()) theirs.emplace(tensor.name, tensor);
  // Memory of the CPU that is never touched costs nothing, wherever the decoder is.
  Decoder base = make_decoder(decoder->config(), at::kCPU, decoder->dtype());
  const torch::NoGradGuard no_grad;
  for (nn::ModuleTensor& mine : base->tensors()) {
    const nn::ModuleTensor& shared = theirs.at(mine.name);
    mine.tensor.set_requires_grad(false);
    mine.tensor.set_data(shared.role == nn::Role::kBuffer ? shared.tensor.clone() : shared.tensor);
  }
  base->eval();
  return base;
}

}  // namespace hone::model
