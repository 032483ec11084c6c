/// Decoders whose linear layers hold integers, as compressed-tensors writes them.
///
/// Of the layers of the blocks: embedding, head, norms, routers and routed experts stay numbers.
/// Source: vllm-project/compressed-tensors, formats int-quantized and pack-quantized.
#pragma once
#include <c10/core/ScalarType.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/nn/quantisation.h"

namespace hone::nn {
class LinearImpl;
}

namespace hone::model {

class DecoderImpl;

/// Which layers hold integers, and how.
struct QuantisedLayers {
  nn::QuantisationSpec spec;
  /// Names of layers that stay numbers ("model.layers.0.mlp.down_proj"), or patterns "re:..." that
  /// match from a name's start, as compressed-tensors has them. Others than layers' may stand here.
  std::vector<std::string> ignore;
};

/// config.json's quantization_config where it is compressed-tensors'; nullopt for none and for
/// other methods. Throws: IoError naming `source` and every key that asks for what is not
/// supported: other bits than 8 and 4, zero points, scales of inputs that are not dynamic and by
/// token, several groups of layers, a quantised cache.
std::optional<QuantisedLayers> read_quantised_layers(const Json& config, const std::string& source);

/// A linear layer of a block, by its name in checkpoints.
struct NamedLinear {
  std::string name;
  nn::LinearImpl* layer = nullptr;
};

/// Those of all blocks, layers for multi-token prediction aside.
std::vector<NamedLinear> block_linears(const DecoderImpl& decoder);
/// Those of them that `layers` does not ignore. `unused`: gets the entries of `ignore` that met
/// none.
std::vector<NamedLinear> quantised_linears(const DecoderImpl& decoder,
                                           const QuantisedLayers& layers,
                                           std::vector<std::string>* unused = nullptr);

/// `layers`, without those that compute worse as integers: of latent attention kv_b_proj, by which
/// decoding multiplies otherwise than training does (nn/latent_attention.h).
QuantisedLayers with_defaults(const DecoderImpl& decoder, QuantisedLayers layers);

/// Why this decoder's layers cannot be quantised so, for people: families whose layers cannot,
/// entries of `ignore` that meet no layer, groups that do not divide columns, nothing left.
std::vector<std::string> quantisation_problems(const DecoderImpl& decoder,
                                               const QuantisedLayers& layers);

/// Replaces the weights by integers, layer by layer, so that no second copy of the model is made.
/// Throws: hone::Error listing the problems; for a decoder that carries an adapter or is quantised
/// already.
void quantise_decoder(DecoderImpl& decoder, QuantisedLayers layers);

/// Rounds those layers from now on, as training does (nn::LinearImpl::set_rounding); nothing: none
/// is rounded. What is quantised stays so.
void set_rounding(const DecoderImpl& decoder, const std::optional<QuantisedLayers>& layers);

/// Copies the numbers of `from`, whose layers may hold integers, into `decoder`, of the same shapes
/// and without.
void copy_numbers(const DecoderImpl& from, DecoderImpl& decoder);

/// quantization_config of a quantised decoder: all layers that are numbers are ignored by name.
Json quantisation_json(const DecoderImpl& decoder);

}  // namespace hone::model
