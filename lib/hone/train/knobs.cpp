#include "hone/train/knobs.h"

#include <algorithm>
#include <exception>

#include "hone/core/error.h"

namespace hone::train {

const Knob& Knobs::find(const std::string& name) const {
  const auto found = knobs_.find(name);
  if (found == knobs_.end()) throw Error("this run has no knob " + name);
  return found->second;
}

void Knobs::set(const std::string& name, const Json& value) const {
  const Knob& knob = find(name);
  try {
    knob.set(value);
  } catch (const Json::exception&) {
    throw Error("the knob " + name + " cannot be " + value.dump() + ", it is now " +
                knob.get().dump());
  }
}

const std::vector<KnobInfo>& all_knobs() {
  static const std::vector<KnobInfo> list = {
      {"lr_scale", "factor on the schedule's learning rate", true},
      {"accumulation", "batches whose gradients a step sums", true},
      {"weight_decay", "AdamW decay of matrices", true},
      {"clip_norm", "largest global norm of the gradient; 0 clips nothing", true},
      {"stop", "true ends the run after this step", false},
      {"snapshot", "a name: weights and optimiser state are kept under it", false},
      {"rollback", "a name: weights and optimiser state become those of that snapshot", false},
      {"dropout", "of attention weights, and of the adapter's input", true},
      {"domain_weights", "loss weight of each domain by name", false},
      {"mix_weights", "factor on the share of each data set by name", false},
      {"augmentation_rate", "share of the drawn documents that are augmented", true},
      {"neftune_alpha", "size of the noise on the embeddings", true},
      {"frozen_layers", "list of the layers that do not train", false},
      {"checkpoint_every", "recompute every k-th block in the backward pass; 0 none", true},
      {"heads", "attention heads that are on: an object of lists of 0 and 1 by layer", false},
      {"channels", "MLP channels that are on, likewise", false},
      {"layers", "layers that are on, likewise", false},
      {"cut", "\"heads\", \"channels\" or \"layers\": what is off is removed for good", false},
  };
  return list;
}

const KnobInfo* find_knob(std::string_view name) {
  const auto& list = all_knobs();
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const KnobInfo& knob) { return name == knob.name; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace hone::train
