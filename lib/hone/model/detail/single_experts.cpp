#include "hone/model/detail/single_experts.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <torch/types.h>

#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/io/adapter.h"
#include "hone/model/detail/lora_layout.h"
#include "hone/model/detail/peft_config.h"

namespace hone::model::detail {
namespace {

constexpr std::string_view kExperts = ".mlp.experts.", kPrefix = "base_model.model.";
const std::string kA = ".lora_A.weight", kB = ".lora_B.weight";

/// One factor of an adapter on a layer of all experts.
struct Factor {
  std::string experts;  ///< the module, "....mlp.experts"
  std::string layer;    ///< "gate_proj"
  bool is_a = false;    ///< lora_A; else lora_B

  auto operator<=>(const Factor&) const = default;
  const std::string& suffix() const { return is_a ? kA : kB; }
};

struct Single {
  Factor factor;
  int64_t expert = 0;
};

/// What a tensor of a single expert is of.
std::optional<Single> single_of(std::string_view name) {
  const bool is_a = name.ends_with(kA);
  const size_t begin = name.find(kExperts);
  const bool factor = is_a || name.ends_with(kB);
  if (begin == name.npos || !factor || !name.starts_with(kPrefix)) return std::nullopt;
  name.remove_suffix(kA.size());
  if (name.size() < begin + kExperts.size()) return std::nullopt;
  const std::string_view rest = name.substr(begin + kExperts.size());
  int64_t expert = -1;
  const auto [after, error] = std::from_chars(rest.data(), rest.data() + rest.size(), expert);
  const std::string_view layer = rest.substr(after - rest.data());
  const bool known = layer == ".gate_proj" || layer == ".up_proj" || layer == ".down_proj";
  if (error != std::errc() || expert < 0 || !known) return std::nullopt;
  const std::string experts(name.substr(0, begin + kExperts.size() - 1));
  return Single{{experts, std::string(layer.substr(1)), is_a}, expert};
}

/// The module of an adapter's tensor, by the decoder's names.
std::string module_of(const std::string& name) {
  return name.substr(kPrefix.size(), name.size() - kPrefix.size() - kA.size());
}

/// [E, ...] of each expert's tensor; undefined after a problem.
at::Tensor stacked(const Factor& factor, const std::map<int64_t, at::Tensor>& experts,
                   std::vector<std::string>& problems) {
  const auto name = [&](int64_t e) {
    return fmt::format("{}.{}.{}{}", factor.experts, e, factor.layer, factor.suffix());
  };
  const at::Tensor& first = experts.begin()->second;
  std::vector<at::Tensor> all;
  for (const auto& [e, tensor] : experts) {
    if (e != std::ssize(all)) {
      problems.push_back("tensor " + name(std::ssize(all)) + " is missing");
      return {};
    }
    if (tensor.dim() != 2 || tensor.sizes() != first.sizes()) {
      problems.push_back(fmt::format("tensor {} must be {}, as that of expert 0, got {}", name(e),
                                     fmt::streamed(first.sizes()), fmt::streamed(tensor.sizes())));
      return {};
    }
    all.push_back(tensor);
  }
  return at::stack(all);
}

/// A [E, r, in] and B [E, out, r] as nn/experts.h lays them.
at::Tensor laid_out(const at::Tensor& stack, bool is_a) {
  return is_a ? stack.flatten(0, 1) : stack.permute({1, 2, 0}).flatten(1, 2).contiguous();
}

/// The gate's and up's factors as one.
at::Tensor fused(const at::Tensor& gate, const at::Tensor& up, bool is_a) {
  if (is_a) return at::cat({gate, up}, 1);
  const at::Tensor none = at::zeros_like(gate);
  return at::cat({at::cat({gate, none}, 2), at::cat({none, up}, 2)}, 1);
}

}  // namespace

Json stacked_config(const Json& config, const std::vector<std::string>& names) {
  std::vector<std::string> problems;
  const nn::LoraOptions options = lora_options(config, problems);
  std::map<std::string, std::set<std::pair<int64_t, double>>> found;  // rank and scale, by layer
  std::set<std::string> others;
  for (const std::string& name : names) {
    if (const auto single = single_of(name)) {
      const nn::LoraSpec spec = target_of(options, module_of(name)).spec;
      found[single->factor.layer].emplace(spec.rank, spec.scale);
    } else if (name.starts_with(kPrefix) && name.ends_with(kA)) {
      others.insert(module_of(name));
    }
  }
  if (found.empty() || !problems.empty()) return config;
  const bool fuses = found.contains("gate_proj");
  if (fuses != found.contains("up_proj")) {
    throw Error(
        "adapter: experts have one on gate_proj or up_proj alone; these are one tensor here and "
        "beside transformers 5, so both must have one");
  }
  Json result = config;
  result["target_modules"] = others;
  result["target_parameters"] = Json::array();
  const auto add = [&](const std::string& weight, const std::string& layer, int64_t fused) {
    if (found.at(layer).size() > 1 || (fused == 2 && found.at(layer) != found.at("up_proj"))) {
      throw Error(
          "adapter: experts have different ranks or alphas, by rank_pattern or "
          "alpha_pattern, which is not supported");
    }
    const int64_t rank = found.at(layer).begin()->first * fused;
    const double scale = found.at(layer).begin()->second;
    const nn::LoraSpec otherwise = target_of(options, "mlp.experts." + weight).spec;
    result["target_parameters"].push_back("experts." + weight);
    if (otherwise.rank == rank && otherwise.scale == scale) return;
    const auto divisor = static_cast<double>(rank);
    result["rank_pattern"]["experts\\." + weight] = rank;
    result["alpha_pattern"]["experts\\." + weight] =
        scale * (options.rslora ? std::sqrt(divisor) : divisor);
  };
  if (fuses) add("gate_up_proj", "gate_proj", 2);
  if (found.contains("down_proj")) add("down_proj", "down_proj", 1);
  return result;
}

io::AdapterFiles stacked(const io::AdapterFiles& files) {
  io::AdapterFiles result;
  std::vector<std::string> names, problems;
  std::map<Factor, std::map<int64_t, at::Tensor>> factors;
  for (const auto& [name, tensor] : files.tensors) {
    names.push_back(name);
    if (const auto single = single_of(name)) {
      factors[single->factor][single->expert] = tensor;
    } else {
      result.tensors[name] = tensor;
    }
  }
  result.config = stacked_config(files.config, names);
  std::map<Factor, at::Tensor> stacks;
  for (const auto& [factor, experts] : factors) {
    stacks[factor] = stacked(factor, experts, problems);
  }
  if (!problems.empty()) throw Error("adapter: " + joined(problems));
  for (const auto& [factor, stack] : stacks) {
    const auto& [experts, layer, is_a] = factor;
    if (layer == "down_proj") {
      result.tensors[experts + factor.suffix()] = laid_out(stack, is_a);
    } else if (layer == "gate_proj") {
      const auto up = stacks.find({experts, "up_proj", is_a});
      if (up == stacks.end() || up->second.sizes() != stack.sizes()) {
        throw Error("adapter: " + experts + " must have up_proj" + factor.suffix() +
                    " where it has gate_proj's, and of one shape");
      }
      const bool inner = stacks.contains({experts, "down_proj", is_a});
      result.tensors[experts + (inner ? ".base_layer" : "") + factor.suffix()] =
          laid_out(fused(stack, up->second, is_a), is_a);
    }
  }
  return result;
}

}  // namespace hone::model::detail
