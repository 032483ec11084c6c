/// Which layers of a trained decoder bear to share, measured.
#pragma once
#include <cstdint>
#include <vector>

#include "hone/model/decoder.h"
#include "hone/model/sharing/groups.h"

namespace hone::model {

/// Layers that pairs are chosen from: all but the first two and the last, which bear it least
/// (LiSA, Mu et al. 2024, arXiv 2408.01890, of shallow layers). The most pairs of such a model.
constexpr int64_t kFirstShared = 2;
int64_t most_pairs(int64_t layers);

/// What it costs that layers `first` and `first` + 1 alone share.
struct PairDivergence {
  int64_t first = 0;
  double divergence = 0;  ///< KL(model before || with the pair), nats a token
};

/// Of all such pairs, in order. The decoder is as before then, in eval mode while it is measured.
/// `text` are batches, on the decoder's device, of which the last hidden states are kept [T, D].
/// Throws: what share_weights throws of layers that cannot share.
std::vector<PairDivergence> pair_divergences(Decoder& decoder,
                                             const std::vector<DecoderInput>& text,
                                             SharedStart start);

/// So many of them, none of which meet, with the least sum of divergences: that of all together is
/// close to it while each is small. `pairs` at most most_pairs(); `measured` as pair_divergences()
/// gives it.
LayerGroups choose_pairs(const std::vector<PairDivergence>& measured, int64_t pairs);

}  // namespace hone::model
