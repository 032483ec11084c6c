/// Which layers of a decoder suffer from being rounded.
#pragma once
#include <string>
#include <vector>

#include "hone/model/decoder.h"
#include "hone/model/quantised_layers.h"

namespace hone::model {

/// One layer rounded, the others in float: how far the next tokens are from the float decoder's
/// (RoundingQuality), in nats.
struct Sensitivity {
  std::string name;
  double mean = 0, p99 = 0;
};

/// Of each of these layers, the worst first; over all positions of `text`. No layer is rounded
/// afterwards. Costs a forward pass a layer.
std::vector<Sensitivity> sensitivities(Decoder& decoder, const QuantisedLayers& layers,
                                       const std::vector<DecoderInput>& text);

}  // namespace hone::model
