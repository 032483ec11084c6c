#include "hone/nn/moe.h"

#include <torch/types.h>

#include "hone/kernels/experts.h"

namespace hone::nn {

ExpertsImpl::ExpertsImpl(const MoeOptions& options, const at::TensorOptions& tensor_options) {
  const int64_t experts = options.router.experts, dim = options.router.dim;
  gate_up_proj = register_parameter("gate_up_proj",
                                    at::empty({experts, 2 * options.hidden, dim}, tensor_options));
  down_proj =
      register_parameter("down_proj", at::empty({experts, dim, options.hidden}, tensor_options));
}

MoeImpl::MoeImpl(const MoeOptions& options, const at::TensorOptions& tensor_options)
    : options(options) {
  router = register_module("gate", Router(options.router, tensor_options));
  experts = register_module("experts", Experts(options, tensor_options));
  if (options.shared_hidden > 0) {
    const MlpOptions shared{options.router.dim, options.shared_hidden, options.shared_bias};
    shared_experts = register_module("shared_experts", Mlp(shared, tensor_options));
  }
}

at::Tensor MoeImpl::forward(const at::Tensor& x) {
  const Routing routing = router(x);
  const kernels::ExpertOrder order =
      kernels::order_by_expert(routing.experts, options.router.experts);
  const at::Tensor routed =
      kernels::mixed_experts(x, routing.weights, experts->gate_up_proj, experts->down_proj, order);
  return shared_experts ? routed + shared_experts(x) : routed;
}

Footprint MoeImpl::footprint(const StepShape& step) const {
  const RouterOptions& r = options.router;
  const int64_t choices = r.chosen, hidden = options.hidden;
  // x, each choice's gate and up, its weight and places; the router's scores and what they become.
  Footprint f{.saved = r.dim + choices * (2 * hidden + 8) + 3 * r.experts,
              .backward = 2 * r.dim + 2 * r.experts,
              .gradients = trained_numel(*this)};
  // The expert that works holds its rows of x or their gradients, and what is made of them.
  f.backward += choices * (3 * r.dim + 4 * hidden) / r.experts;
  if (shared_experts) {
    const Footprint shared = shared_experts->footprint(step);
    f.saved += shared.saved - (shared_experts->gate_proj->keeps_input() ? r.dim : 0);
    f.backward += shared.backward;
  }
  return f;
}

int64_t MoeImpl::flops(int64_t positions) const {
  const RouterOptions& r = options.router;
  const int64_t routed = r.experts * r.dim + r.chosen * 3 * options.hidden * r.dim;
  return 2 * routed + FeedForwardImpl::flops(positions);  // of the shared MLP's layers
}

}  // namespace hone::nn
