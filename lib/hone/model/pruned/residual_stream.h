/// What a decoder's residual stream carries, measured on calibration text.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "hone/model/decoder.h"
#include "hone/nn/branch.h"

namespace hone::model {

/// Passes calibration text through the decoder that is measured, without gradients; may be called
/// several times, each time with the same text.
using Passes = std::function<void()>;

/// The norms of the residual stream are its places: of block i the one before attention is 2 i, the
/// one before the MLP 2 i + 1; the last norm is 2 L.
///
/// While it lives, calls `see` whenever a norm is passed: x [T, D] and what the norm makes of it.
/// Blocks must pass on one vector a token. Nothing else may change the decoder's norms meanwhile.
class ResidualWatch {
 public:
  using See = std::function<void(size_t place, const at::Tensor& x, const at::Tensor& normed)>;

  ResidualWatch(Decoder decoder, See see);
  ~ResidualWatch();
  ResidualWatch(const ResidualWatch&) = delete;
  ResidualWatch& operator=(const ResidualWatch&) = delete;

 private:
  Decoder decoder_;
  std::vector<nn::Norm> norms_;  // by place, as they were
};

/// Block importance, by the decoder's blocks in order: 1 - the mean over positions of
/// cos(h_in, h_out), which a block that changes nothing has at 0.
/// Source: Men et al. 2024, ShortGPT, eq. 1.
std::vector<double> block_importances(const Decoder& decoder, const Passes& passes);

}  // namespace hone::model
