/// Merging the experts that go into experts that stay, before they are masked and cut.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "hone/core/json.h"
#include "hone/model/decoder.h"
#include "hone/model/pruned/pruning.h"
#include "hone/nn/merge_experts.h"

namespace hone::model {

/// By layer.
using ExpertMerges = std::map<int64_t, std::vector<nn::ExpertMerge>>;

/// Where the experts go that are on and would be off by `after`: into the likeliest that stays, by
/// the `masses` that gates have measured (nn/merge_experts.h). Layers without any are not listed.
ExpertMerges plan_merges(const Decoder& decoder, const Importances& masses, const Masks& after);

/// Works them in. The weights change in place: an optimiser keeps what it has of them.
/// Throws: hone::Error for a layer or expert that is not there, one that goes into itself, shares
///   that are no shares, experts that carry adapters; nothing is changed then.
void merge_experts(Decoder& decoder, const ExpertMerges& merges);

/// {"1": [[from, into, share], ...]}, and back.
Json merges_json(const ExpertMerges& merges);
ExpertMerges merges_from_json(const Json& json);

}  // namespace hone::model
