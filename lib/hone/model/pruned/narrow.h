/// A decoder of smaller width: its residual stream turned into fewer directions.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "hone/core/json.h"
#include "hone/model/decoder.h"
#include "hone/model/pruned/residual_stream.h"

namespace hone::model {

/// A decoder that config.json describes without hone_pruned.
struct PlainModel {
  Decoder decoder{nullptr};
  Json config;
};

/// Throws: hone::Error, naming the model_type, unless all blocks are grouped attention and a gated
///   MLP behind RMS norms, as those of llama, qwen2 and qwen3 are, without adapters.
void check_dense(const Decoder& decoder);

/// A decoder whose layers were all cut alike, as a plain model: its layers numbered anew, its sizes
/// those that are left. `config` is its config.json. The tensors are copies.
/// Throws: what check_dense throws; hone::Error where layers differ in heads or channels, or a key
///   head's query heads in number.
PlainModel plain_model(const Decoder& decoder, const Json& config);

/// Which directions of a residual stream of width D stay.
struct ResidualBasis {
  at::Tensor directions;       ///< [D, D'] float64, orthonormal columns
  bool channels = false;       ///< whether each is one of the D channels
  std::vector<double> scales;  ///< by place (ResidualWatch): of the norm's result there
};

/// The first `width` principal directions of what the norms see: eigenvectors of
/// sum x x^T / rms(x)^2 over all places and positions, which is not centred.
ResidualBasis principal_basis(const Decoder& decoder, int64_t width, const Passes& passes);

/// The `width` channels in which the norms' results have the largest sum of squares over all places
/// and positions.
ResidualBasis strongest_channels_basis(const Decoder& decoder, int64_t width, const Passes& passes);

/// The plain model with the residual stream y = P^T x, P the basis: embedding, o_proj and down_proj
/// give y; q_proj, k_proj, v_proj, gate_proj, up_proj and head take it in, W P. A norm's weight w
/// stays with its channel, P^T w; other directions mix channels, so it goes into the layers behind
/// it, W diag(w) P, and the norm's own is 1. Each norm is scaled by the basis's scale of its place.
///
/// At D' = D with principal directions the logits are the model's, within rounding.
/// A tied head stays tied with channels. Otherwise the last norm's weight would have to go into it
/// alone: it becomes a table of its own, unless `keep_tied`, where the last norm's weight is the
/// one that fits best, by least squares, direction by direction. Throws: what check_dense throws;
/// c10::ValueError for directions of another width. Source: the projection is that of Ashkboos et
/// al. 2024, SliceGPT, with one basis for all places,
///   so that the result is an ordinary model; channels by activations: Muralidharan et al. 2024,
///   Minitron, 2.2.
PlainModel narrow(const PlainModel& model, const ResidualBasis& basis, bool keep_tied = false);

}  // namespace hone::model
