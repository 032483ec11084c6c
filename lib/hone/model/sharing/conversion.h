/// Layers of a trained decoder that come to share their query and key projections.
#pragma once
#include <cstdint>
#include <vector>

#include "hone/model/decoder.h"
#include "hone/model/sharing/groups.h"
#include "hone/nn/decoder_block.h"

namespace hone::model {

/// Works the scale of input_layernorm, then 1, into q_proj, k_proj and v_proj: the block computes
/// the same, in real arithmetic. Makes layers' projections comparable.
/// Throws: hone::Error unless they are nn::Attention, in floats, behind nn::RmsNorm.
void fold_input_norm(nn::DecoderBlock& block);

/// Puts the block's heads into the order in which they are most like the reference's
/// (match_heads); v_proj and o_proj follow, so that the block computes the same.
/// Throws: as fold_input_norm(); c10::ValueError for heads in uneven groups.
void order_heads(nn::DecoderBlock& block, nn::DecoderBlock& reference);

/// Gives the layers of a group the same q_proj and k_proj, after their norms were folded and their
/// heads ordered as the first layer's. Norms of query and key heads stay each layer's own. Computed
/// in float64 on the CPU.
/// Throws: hone::Error naming the layer that cannot share.
void make_alike(Decoder& decoder, const std::vector<int64_t>& group, SharedStart start);

/// Lets each group of layers share one q_proj and k_proj (DecoderImpl::share_projections),
/// made alike before.
/// Throws: hone::Error for groups that are none of the model's; what make_alike and
///   share_projections throw.
void share_weights(Decoder& decoder, const LayerGroups& groups,
                   SharedStart start = SharedStart::kAligned);

}  // namespace hone::model
