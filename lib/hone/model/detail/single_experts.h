/// Adapters with tensors of single experts, as PEFT writes them beside transformers 4
/// ("mlp.experts.3.gate_proj.lora_A.weight"), brought to those of all experts of a layer
/// (nn/experts.h), which it writes beside transformers 5.
///
/// gate_proj and up_proj of rank r become gate_up_proj of rank 2 r, whose B is theirs on a block
/// diagonal: the same function. Source: what peft 0.21.2 makes of such files when it loads them.
#pragma once
#include <string>
#include <vector>

#include "hone/core/json.h"

namespace hone::io {
struct AdapterFiles;
}

namespace hone::model::detail {

/// The adapter_config.json of the adapter that has tensors of these names; as it is where none of
/// them is of a single expert. Ranks and alphas go along, rsLoRA's scale included (PEFT's own
/// conversion makes that sqrt(2) times as large).
/// Throws: hone::Error for gate_proj without up_proj, or either with another rank or alpha.
Json stacked_config(const Json& config, const std::vector<std::string>& names);

/// Both files so. Throws: hone::Error naming each expert that is missing and each tensor that is
/// not shaped as the others.
io::AdapterFiles stacked(const io::AdapterFiles& files);

}  // namespace hone::model::detail
