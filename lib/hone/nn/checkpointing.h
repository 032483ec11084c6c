/// Activation checkpointing: trade a second forward pass of a block for its activations.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

namespace hone::nn {

using Block = std::function<at::Tensor(const at::Tensor&)>;

/// block(input), whose saved tensors are dropped and computed again when the backward pass first
/// asks for one of them: only `input` and what `block` captures stay alive.
///
/// Loss and gradients equal those of block(input) bit for bit, dropout included: the state of the
/// CPU's and the input's device's generator is restored for the second run. No nested backward
/// runs, parameters may be frozen and hooks fire once. `block` must compute the same both times;
/// what it captures must live until the backward pass.
/// Without grad mode it is block(input).
/// Throws: hone::Error if the second run saves fewer tensors, or if another program part (Python's
///   torch) replaced LibTorch's autograd engine.
/// Source: after Chen et al. 2016; the mechanism (saved-variable hooks) as torch.utils.checkpoint
///   with use_reentrant=False.
at::Tensor checkpoint(const Block& block, const at::Tensor& input);

/// Whether this thread is in such a second run, of which nothing is used but what it saves.
bool recomputing();

}  // namespace hone::nn
