#include "hone/model/cost.h"

#include <c10/util/accumulate.h>

#include <cmath>
#include <utility>
#include <vector>

#include "hone/model/checkpoint.h"
#include "hone/nn/anatomy.h"

namespace hone::model {

Cost::Cost(Decoder decoder) : decoder_(std::move(decoder)) {}

Cost::Cost(const DecoderConfig& config) : Cost(make_decoder(config, at::kMeta, at::kFloat)) {}

int64_t Cost::parameters() const { return nn::parameters(*decoder_); }

int64_t Cost::active_parameters() const {
  int64_t active = parameters();
  for (const nn::DecoderBlock& block : decoder_->layers) active -= block->mlp->idle();
  for (const MultiTokenLayer& layer : decoder_->multi_token) active -= layer.block->mlp->idle();
  return active;
}

int64_t Cost::head_flops() const {
  return 2 * (decoder_->lm_head ? decoder_->lm_head : decoder_->embed_tokens)->weight.numel();
}

int64_t Cost::token_flops(int64_t positions) const {
  int64_t flops = head_flops();
  for (const nn::DecoderBlock& block : decoder_->layers) {
    flops += block->self_attn->flops(positions) + block->mlp->flops(positions);
  }
  return flops;
}

double Cost::scoring_flops(double tokens, double length) const {
  return tokens * static_cast<double>(token_flops(std::llround(length / 2)));
}

double Cost::step_flops(double tokens, double length, bool frozen, int64_t every) const {
  const double passes = (frozen ? 2 : 3) + (every > 0 ? 1.0 / static_cast<double>(every) : 0);
  const int64_t positions = std::llround(length / 2), head = head_flops();
  int64_t token = token_flops(positions);
  for (const MultiTokenLayer& layer : decoder_->multi_token) {
    const nn::DecoderBlock& block = layer.block;
    token += head + 2 * layer.eh_proj->weight.numel() + block->self_attn->flops(positions) +
             block->mlp->flops(positions);
  }
  return tokens * static_cast<double>(token) * passes;
}

int64_t Cost::cache_bytes(at::ScalarType dtype, int64_t rows, int64_t positions) const {
  int64_t numbers = 0;
  for (const nn::CacheShape& layer : decoder_->cache_shapes()) {
    for (const std::vector<int64_t>& sizes : layer) numbers += c10::multiply_integers(sizes);
  }
  return numbers * rows * positions * static_cast<int64_t>(c10::elementSize(dtype));
}

}  // namespace hone::model
