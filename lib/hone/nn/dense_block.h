/// The parts of a dense block. Apart from the block, so that what works with any block does not see
/// the modules that it is made of.
#pragma once
#include "hone/nn/attention.h"
#include "hone/nn/mlp.h"

namespace hone::nn {

/// Of a block of Attention and Mlp behind RMS norms.
struct DecoderBlockOptions {
  AttentionOptions attention;
  MlpOptions mlp;
  double norm_eps = 1e-6;
};

}  // namespace hone::nn
