/// A loss whose gradient goes along with another tensor's.
#pragma once
#include <ATen/core/Tensor.h>

namespace hone::kernels {

/// y itself; a backward pass through it also gives the scalar `loss` the gradient 1, whatever comes
/// for y: the gradients of a loss that shows in no number of the pass, such as one of the balance
/// of experts. `loss` must not be asked for gradients otherwise.
/// Gradient: to y as it comes, to loss 1.
at::Tensor with_loss(const at::Tensor& y, const at::Tensor& loss);

}  // namespace hone::kernels
