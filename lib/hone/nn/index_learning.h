/// By what an indexer (nn/indexer.h) learns.
#pragma once

namespace hone::nn {

/// In training mode.
enum class IndexLearning {
  kOff,     ///< nothing: its tensors stay
  kWarmUp,  ///< what the attention's heads look at, of all positions, which they then see
  kSparse   ///< what they look at of those that it chooses
};

}  // namespace hone::nn
