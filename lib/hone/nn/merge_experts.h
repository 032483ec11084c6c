/// Merging experts that go into experts that stay, instead of dropping what they learned.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "hone/nn/experts.h"

namespace hone::nn {

/// One expert that goes into another of its layer.
struct ExpertMerge {
  int64_t from = 0, into = 0;
  double share =
      0;  ///< of `from` in what `into` becomes; its own is 1 less those of all its merges
};

/// Where the experts go that are `on` before and not after: each into the one that stays whose row
/// of the router is most like its own (cosine), with the share of its mass in that of all that meet
/// there; of masses that are all 0, equal shares. `rows` [E, D] are the router's; `mass` [E] is the
/// mean routing weight a token, as a gate measures it.
/// Source: M-SMoE (Li et al. 2024, arXiv:2310.01334, 3.1), which groups by what routers say of
///   tokens and weighs by how often experts are used; rows and masses instead are ours.
std::vector<ExpertMerge> plan_merges(const at::Tensor& rows, const std::vector<double>& mass,
                                     const std::vector<bool>& before,
                                     const std::vector<bool>& after);

/// W[into] becomes (1 - sum of shares) W[into] + sum of share P W[from], computed in float32 at
/// least. P orders the hidden units of `from`, which could stand in any order, so that the sum of
/// products of its weights with those of `into` is largest; I^3 steps a merge. `from` stays as it
/// is. Of experts that carry no adapters.
/// Source: M-SMoE, 3.1; the order as in Ainsworth et al. 2022, arXiv:2209.04836, 3.2.
void merge_experts(Experts& experts, const std::vector<ExpertMerge>& merges);

}  // namespace hone::nn
