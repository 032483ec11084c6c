/// Small modules with random weights, for the tests of this room.
#pragma once
#include <torch/types.h>
#include <torch/utils.h>

#include <vector>

#include "hone/nn/attention.h"
#include "hone/nn/rotary.h"

namespace hone::nn {

template <class Module>
Module randomised(Module module) {
  torch::manual_seed(2);
  const torch::NoGradGuard no_grad;
  for (at::Tensor& parameter : module->parameters()) parameter.normal_(0.1, 0.5);
  return module;
}

/// Whole documents.
inline AttentionContext context(std::vector<int64_t> offsets, at::ScalarType dtype,
                                int64_t head_dim = 6) {
  const auto segments = kernels::Sequences::from_offsets(offsets, at::kCPU);
  std::vector<at::Tensor> positions;
  for (size_t i = 1; i < offsets.size(); ++i) {
    positions.push_back(at::arange(offsets[i] - offsets[i - 1], at::kLong));
  }
  const Rotary rotary({.head_dim = head_dim});
  const auto [cos, sin] = rotary.tables(at::cat(positions), segments, dtype);
  return {segments, cos, sin};
}

inline LayerCache empty_cache(const CacheShape& shape, int64_t rows, int64_t positions,
                              const at::TensorOptions& options) {
  LayerCache cache;
  for (std::vector<int64_t> sizes : shape) {
    sizes.insert(sizes.begin(), {rows, positions});
    cache.tensors.push_back(at::zeros(sizes, options));
  }
  return cache;
}

/// What a mixer gives of one document x [T, D] in passes that end at `ends`, over what its cache
/// keeps; `whole` is the context of a pass over all of it.
template <class Mixer>
at::Tensor in_passes(Mixer& mixer, const at::Tensor& x, const AttentionContext& whole,
                     const std::vector<int64_t>& ends) {
  LayerCache cache = empty_cache(mixer->cache_shape(), 1, ends.back() + 3, x.options());
  std::vector<at::Tensor> parts;
  int64_t begin = 0;
  for (const int64_t end : ends) {
    cache.places = {.past = {begin},
                    .slots = at::arange(begin, end, at::kLong),
                    .lengths = torch::tensor({end}, at::kLong)};
    const AttentionContext part{kernels::Sequences::from_offsets({0, end - begin}, at::kCPU),
                                whole.cos.slice(0, begin, end), whole.sin.slice(0, begin, end),
                                &cache};
    parts.push_back(mixer(x.slice(0, begin, end), part));
    begin = end;
  }
  return at::cat(parts);
}

}  // namespace hone::nn
