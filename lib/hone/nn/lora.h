/// What a low-rank adapter is: the options of a recipe and of PEFT's adapter_config.json.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/field.h"

namespace hone::nn {

/// LoRA over the linear layers of a decoder's blocks, and over routed experts (nn/experts.h), each
/// of which has factors of its own:
///   y = W x + s B A dropout(x),   s = alpha / rank, or alpha / sqrt(rank) with rslora.
/// With dora, W + s B A is rescaled to rows of the trained norms `magnitude`.
/// Names and patterns match as PEFT matches them (model/adapter.h).
/// Source: Hu et al. 2021 (LoRA), Kalajdzievski 2023 (rsLoRA), Liu et al. 2024 (DoRA).
struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16;
  double dropout = 0;
  std::vector<std::string> targets;
  std::vector<std::string> target_parameters;
  std::optional<std::string> target_regex;
  bool rslora = false;
  bool dora = false;
  std::vector<std::string> modules_to_save;
  std::map<std::string, int64_t> rank_pattern;
  std::map<std::string, double> alpha_pattern;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("rank", self.rank, "Rank of the adapter.", Range{1, 65536});
    v("alpha", self.alpha, "Scale of the adapter, divided by the rank (PEFT's lora_alpha).",
      Range{0, 1e6});
    v("dropout", self.dropout, "Dropout on the adapter's input.", Range{0, 0.999});
    v("targets", self.targets,
      "Linear layers adapted, by name or end of name (q_proj, mlp.down_proj); empty: all of the "
      "blocks, but of attention alone where a model has experts, and none beside "
      "target_parameters.");
    v("target_parameters", self.target_parameters,
      "Weights of all routed experts of a layer adapted, by name or end of name: "
      "experts.gate_up_proj, experts.down_proj (PEFT's target_parameters).");
    v("target_regex", self.target_regex,
      "Pattern of the whole module name, instead of targets (PEFT's target_modules string).");
    v("rslora", self.rslora, "Divide alpha by the root of the rank.");
    v("dora", self.dora, "Train the norm of each row beside its direction (DoRA).");
    v("modules_to_save", self.modules_to_save,
      "Modules trained in full beside the adapter, by the end of their names, e.g. lm_head.");
    v("rank_pattern", self.rank_pattern, "Ranks of modules whose name ends in a pattern.");
    v("alpha_pattern", self.alpha_pattern, "Alphas of modules whose name ends in a pattern.");
  }

  void validate(Validation& v) const;
};

}  // namespace hone::nn
