#include "hone/model/detail/lora_layout.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/experts.h"
#include "hone/nn/indexer.h"
#include "hone/nn/linear.h"
#include "hone/unicode/pattern.h"

namespace hone::model::detail {
namespace {

bool ends_at_dot(const std::string& name, const std::string& end) {
  return name == end || name.ends_with("." + end);
}

/// A pattern over module names; backtracking is limited, since patterns come with adapters from
/// elsewhere.
unicode::Pattern name_pattern(const std::string& pattern, const std::string& shown) {
  return unicode::Pattern(pattern,
                          {.whole = true, .unicode_classes = false, .match_limit = 100'000}, shown);
}

/// PEFT's rule for rank and alpha patterns: re.match("(.*\\.)?(pattern)$", name).
unicode::Pattern tail_pattern(const std::string& pattern) {
  return name_pattern("(?:.*\\.)?(?:" + pattern + ")", pattern);
}

/// Whether the module lies in one of `modules_to_save`: PEFT gives those no adapter.
bool saved_whole(const std::string& name, const nn::LoraOptions& options) {
  return std::any_of(options.modules_to_save.begin(), options.modules_to_save.end(),
                     [&](const std::string& saved) {
                       return ("." + name + ".").find("." + saved + ".") != std::string::npos;
                     });
}

/// Whether a token meets only some of the decoder's MLPs.
bool has_experts(const Decoder& decoder) {
  return std::any_of(decoder->layers.begin(), decoder->layers.end(),
                     [](const nn::DecoderBlock& block) { return block->mlp->idle() > 0; });
}

bool in_mlp(const std::string& name) { return name.find(".mlp.") != std::string::npos; }

/// The value of the pattern that matches. PEFT takes the first of several by their order in the
/// file, which a map has not: several that agree are fine, others an error.
template <class T>
T by_pattern(const std::map<std::string, T>& patterns, const std::string& name, T otherwise) {
  const std::pair<const std::string, T>* hit = nullptr;
  for (const auto& item : patterns) {
    if (!tail_pattern(item.first).matches(name)) continue;
    if (hit && hit->second != item.second) {
      throw Error("lora: patterns " + hit->first + " and " + item.first + " both match " + name +
                  " and differ; make them exclude each other");
    }
    hit = &item;
  }
  return hit ? hit->second : otherwise;
}

/// The weights of experts that `options` names; those that match leave `unused`.
void add_expert_targets(nn::ExpertsImpl& experts, const std::string& module,
                        const nn::LoraOptions& options, std::set<std::string>& unused,
                        std::vector<LoraTarget>& targets) {
  for (const std::string& weight : nn::ExpertsImpl::adaptable()) {
    const std::string name = module + "." + weight;
    bool wanted = false;
    for (const std::string& target : options.target_parameters) {
      if (!ends_at_dot(name, target)) continue;
      wanted = true;
      unused.erase(target);
    }
    if (!wanted || saved_whole(module, options)) continue;
    LoraTarget target = target_of(options, name);
    target.parameter = true;
    target.add = [&experts, weight, spec = target.spec](const at::Generator& generator) {
      experts.add_lora(weight, spec, generator);
    };
    targets.push_back(std::move(target));
  }
}

}  // namespace

LoraTarget target_of(const nn::LoraOptions& options, const std::string& name) {
  const int64_t rank = by_pattern(options.rank_pattern, name, options.rank);
  const double alpha = by_pattern(options.alpha_pattern, name, options.alpha);
  const double divisor = static_cast<double>(rank);
  const nn::LoraSpec spec{.rank = rank,
                          .scale = alpha / (options.rslora ? std::sqrt(divisor) : divisor),
                          .dropout = options.dropout,
                          .dora = options.dora};
  return {name, spec, alpha};
}

std::vector<LoraTarget> lora_targets(const Decoder& decoder, const nn::LoraOptions& options,
                                     Unmatched unmatched) {
  std::optional<unicode::Pattern> pattern;
  if (options.target_regex) pattern = name_pattern(*options.target_regex, *options.target_regex);
  const bool all = !pattern && options.targets.empty() && options.target_parameters.empty();
  const bool attention = has_experts(decoder);
  std::vector<LoraTarget> targets;
  std::vector<std::string> problems;
  std::set<std::string> unused(options.targets.begin(), options.targets.end());
  std::set<std::string> parameters(options.target_parameters.begin(),
                                   options.target_parameters.end());
  for (const auto& item : decoder->named_modules("", /*include_self=*/false)) {
    const std::string name = checkpoint_name(item.key());
    if (item.value()->as<nn::IndexLayerImpl>()) continue;  // an indexer's, which nothing trains
    if (auto* experts = item.value()->as<nn::ExpertsImpl>()) {
      add_expert_targets(*experts, name, options, parameters, targets);
    }
    auto* layer = item.value()->as<nn::LinearImpl>();
    bool wanted =
        layer && ((all && !(attention && in_mlp(name))) || (pattern && pattern->matches(name)));
    for (const std::string& target : options.targets) {
      if (pattern || !ends_at_dot(name, target)) continue;
      wanted = true;
      unused.erase(target);
      if (!layer) {
        problems.push_back("target " + target + " matches " + name +
                           ", which is no linear layer of a block");
      }
    }
    if (!wanted || !layer || saved_whole(name, options)) continue;
    targets.push_back(target_of(options, name));
    targets.back().add = [layer, spec = targets.back().spec](const at::Generator& generator) {
      layer->add_lora(spec, generator);
    };
  }
  if (unmatched == Unmatched::kRefuse) {
    if (pattern && targets.empty()) {
      problems.push_back("target_regex " + *options.target_regex + " matches no linear layer");
    }
    for (const std::string& target : unused) {
      problems.push_back("target " + target + " matches no linear layer");
    }
    for (const std::string& target : parameters) {
      problems.push_back("target_parameters " + target +
                         " matches no weights of experts (experts.gate_up_proj, "
                         "experts.down_proj)");
    }
  }
  if (!problems.empty()) throw Error("lora: " + joined(problems));
  return targets;
}

bool peft_mistakes(const Decoder& decoder, const std::vector<LoraTarget>& targets) {
  return has_experts(decoder) &&
         std::any_of(targets.begin(), targets.end(), [](const LoraTarget& target) {
           return !target.parameter && in_mlp(target.name);
         });
}

void check_patterns(const std::vector<LoraTarget>& targets, const nn::LoraOptions& options) {
  std::vector<std::string> problems;
  const auto check = [&](const char* key, const auto& patterns) {
    for (const auto& [text, value] : patterns) {
      const unicode::Pattern pattern = tail_pattern(text);
      const bool matches =
          std::any_of(targets.begin(), targets.end(),
                      [&](const LoraTarget& target) { return pattern.matches(target.name); });
      if (!matches) problems.push_back(key + (" " + text) + " matches no adapted layer");
    }
  };
  check("rank_pattern", options.rank_pattern);
  check("alpha_pattern", options.alpha_pattern);
  if (!problems.empty()) throw Error("lora: " + joined(problems));
}

NamedTensors saved_modules(const Decoder& decoder, const std::vector<std::string>& names,
                           Unmatched unmatched) {
  NamedTensors saved;
  std::vector<std::string> problems;
  std::vector<bool> found(names.size(), false);
  for (const auto& item : decoder->named_modules("", /*include_self=*/false)) {
    const std::string module = checkpoint_name(item.key());
    for (size_t i = 0; i < names.size(); ++i) {
      // A plain end of the name, without regard to dots: PEFT's rule.
      if (!module.ends_with(names[i])) continue;
      found[i] = true;
      if (item.value()->as<nn::EmbeddingImpl>() && decoder->config().tie_word_embeddings) {
        problems.push_back("modules_to_save " + names[i] +
                           ": embedding and head are tied; train single rows instead");
      }
      for (const nn::ModuleTensor& tensor : nn::tensors(*item.value())) {
        if (tensor.role != nn::Role::kBase) continue;
        const std::string name = module + "." + tensor.name;
        const bool known = std::any_of(saved.begin(), saved.end(),
                                       [&](const auto& other) { return other.first == name; });
        if (!known) saved.emplace_back(name, tensor.tensor);
      }
    }
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (found[i] || unmatched == Unmatched::kIgnore) continue;
    problems.push_back("modules_to_save " + names[i] + " matches no module");
  }
  if (!problems.empty()) throw Error("lora: " + joined(problems));
  return saved;
}

NamedTensors adapter_tensors(const Decoder& decoder) {
  NamedTensors tensors;
  for (const nn::ModuleTensor& tensor : decoder->tensors()) {
    if (tensor.role == nn::Role::kAdapter) tensors.emplace_back(tensor.name, tensor.tensor);
  }
  const auto saved =
      saved_modules(decoder, decoder->adapter().value().modules_to_save, Unmatched::kIgnore);
  tensors.insert(tensors.end(), saved.begin(), saved.end());
  return tensors;
}

}  // namespace hone::model::detail
