/// What a decoder costs: numbers, floating-point operations, cache. Memory is in model/memory.h.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>

#include "hone/model/decoder.h"

namespace hone::model {

/// Told by a decoder's modules, which may be without memory (the meta device). Adapters count in
/// none of it.
class Cost {
 public:
  explicit Cost(Decoder decoder);
  /// Of the decoder that `config` describes, pruned as it says.
  explicit Cost(const DecoderConfig& config);

  int64_t parameters() const;
  /// Those that any one token meets: all but the experts that it does not take.
  int64_t active_parameters() const;

  /// Floating-point operations of a token's forward pass that sees `positions`, head included: 2 a
  /// multiplied weight; and 4 for each number of an attention head and position.
  int64_t token_flops(int64_t positions = 0) const;

  /// Operations of an optimiser step over `tokens` positions in documents of `length`, half of
  /// whose positions are masked: a forward pass, one for the gradient of activations, one for that
  /// of weights unless the base is `frozen`, and one more for blocks recomputed `every` so many;
  /// those of layers for multi-token prediction, each with its head, included.
  /// Source: Kaplan et al. 2020, section 2.1, with a frozen base's weight gradients left out.
  double step_flops(double tokens, double length, bool frozen, int64_t every) const;
  /// Of scoring as many.
  double scoring_flops(double tokens, double length) const;

  /// Bytes of a KvCache of `dtype` with room for `rows` sequences of `positions` positions.
  int64_t cache_bytes(at::ScalarType dtype, int64_t rows, int64_t positions) const;

 private:
  int64_t head_flops() const;

  Decoder decoder_;
};

}  // namespace hone::model
