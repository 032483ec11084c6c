/// Which modules of a decoder an adapter touches, by PEFT's rules of matching.
#pragma once
#include <ATen/core/Generator.h>

#include <functional>
#include <string>
#include <vector>

#include "hone/model/decoder.h"
#include "hone/nn/lora.h"

namespace hone::model::detail {

/// A linear layer, or the weights of a layer's experts, that gets an adapter.
struct LoraTarget {
  std::string name;  ///< path in the checkpoint
  nn::LoraSpec spec;
  double alpha = 0;                               ///< what spec.scale comes of
  bool parameter = false;                         ///< one of PEFT's target_parameters
  std::function<void(const at::Generator&)> add;  ///< makes it
};

/// That of a module or weight of this name, without what makes it.
/// Throws: hone::Error for patterns that both match it and differ.
LoraTarget target_of(const nn::LoraOptions& options, const std::string& name);

/// What becomes of a name that matches no module: refused where an adapter is made, passed over
/// where one is saved whose layer was cut meanwhile.
enum class Unmatched { kRefuse, kIgnore };

/// What `options` adapts, in the order of the model. Where there are experts, no targets mean those
/// of attention; beside target_parameters they mean none.
/// Throws: hone::Error naming all targets that match nothing, and what cannot be adapted.
std::vector<LoraTarget> lora_targets(const Decoder& decoder, const nn::LoraOptions& options,
                                     Unmatched unmatched = Unmatched::kRefuse);

/// Whether PEFT (0.21, beside transformers 5) would take targets in MLPs of this decoder for its
/// experts and drop what was trained.
bool peft_mistakes(const Decoder& decoder, const std::vector<LoraTarget>& targets);

/// Throws: hone::Error naming the keys of rank_pattern and alpha_pattern that match none of
/// `targets`.
void check_patterns(const std::vector<LoraTarget>& targets, const nn::LoraOptions& options);

/// Parameters of the modules named by `modules_to_save`, by their checkpoint names.
/// Throws: hone::Error naming those that match nothing, or embedding and head where they are tied.
NamedTensors saved_modules(const Decoder& decoder, const std::vector<std::string>& names,
                           Unmatched unmatched = Unmatched::kRefuse);

/// All tensors of the decoder's adapter by PEFT's names without "base_model.model.".
NamedTensors adapter_tensors(const Decoder& decoder);

}  // namespace hone::model::detail
