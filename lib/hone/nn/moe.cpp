#include "hone/nn/moe.h"

#include <torch/types.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "hone/kernels/experts.h"
#include "hone/kernels/with_loss.h"

namespace hone::nn {
namespace {

/// x [T, E] summed over each document: [documents, E].
at::Tensor by_document(const at::Tensor& x, const kernels::Sequences& documents) {
  std::vector<at::Tensor> sums;
  for (int64_t d = 0; d < documents.documents(); ++d) {
    sums.push_back(x.slice(0, documents.offsets[d], documents.offsets[d + 1]).sum(0));
  }
  return at::stack(sums);
}

/// `alive` of the experts are on.
at::Tensor balance_loss(const RouterOptions& options, const Routing& routing, int64_t alive,
                        const kernels::Sequences& documents) {
  at::Tensor scores = routing.scores, chosen = routing.experts;
  if (options.scoring != Scoring::kSoftmax) scores = scores / (scores.sum(-1, true) + 1e-20);
  if (options.bias) chosen = std::get<1>(scores.detach().topk(options.chosen, -1));
  const at::Tensor choices = at::zeros_like(scores).scatter(1, chosen, 1);
  const at::Tensor lengths =
      by_document(at::ones({scores.size(0), 1}, scores.options()), documents);
  const double each = static_cast<double>(alive) / static_cast<double>(options.chosen);
  const at::Tensor shares = by_document(choices, documents) * (each / lengths);
  return (shares * (by_document(scores, documents) / lengths)).sum(-1).mean();
}

}  // namespace

MoeImpl::MoeImpl(const MoeOptions& options, const at::TensorOptions& tensor_options)
    : options(options) {
  router = register_module("gate", Router(options.router, tensor_options));
  const ExpertsOptions routed{options.router.experts, options.router.dim, options.hidden,
                              options.limit};
  experts = register_module("experts", Experts(routed, tensor_options));
  if (options.shared_hidden > 0) {
    const MlpOptions shared{options.router.dim, options.shared_hidden, options.shared_bias,
                            options.limit};
    shared_experts = register_module("shared_experts", Mlp(shared, tensor_options));
  }
}

at::Tensor MoeImpl::forward(const at::Tensor& x, const at::Tensor& ids) {
  const Routing routing = router(x, ids, gate ? gate->off() : at::Tensor());
  const kernels::ExpertOrder order =
      kernels::order_by_expert(routing.experts, options.router.experts);
  const at::Tensor routed = experts(x, weights(routing), order);
  if (is_training()) {
    load_.counts.resize(options.router.experts, 0);
    for (size_t e = 0; e < load_.counts.size(); ++e) {
      load_.counts[e] += order.offsets[e + 1] - order.offsets[e];
    }
  }
  const at::Tensor y = is_training() && balance.factor > 0 ? balanced(routed, routing) : routed;
  return shared_experts ? y + shared_experts(x) : y;
}

at::Tensor MoeImpl::balanced(const at::Tensor& y, const Routing& routing) {
  const int64_t alive = gate ? gate->alive() : units();
  const at::Tensor loss = balance_loss(options.router, routing, alive, balance.documents);
  load_.balance += loss.item<double>();
  ++load_.passes;
  return kernels::with_loss(y, loss * balance.factor);
}

at::Tensor MoeImpl::weights(const Routing& routing) {
  if (!gate || !gate->measuring()) return routing.weights;  // those that are off have none
  const at::Tensor all =
      at::zeros_like(routing.scores).scatter(1, routing.experts, routing.weights);
  return gate(all).gather(1, routing.experts);
}

std::vector<int64_t> MoeImpl::groups() const {
  const RouterOptions& r = options.router;
  std::vector<int64_t> groups;
  for (int64_t e = 0; e < r.experts && r.groups > 1; ++e) groups.push_back(e / r.group_size());
  return groups;
}

std::vector<UnitAxis> MoeImpl::axes() const {
  return {{.name = "gate", .layer = router}, {.name = "experts", .layer = experts}};
}

void MoeImpl::add_gate() { nn::add_gate(*this, gate, units(), "expert_gate"); }

void MoeImpl::check_kept(const std::vector<int64_t>& keep) const {
  const RouterOptions& r = options.router;
  std::vector<int64_t> left(r.groups, 0);
  for (const int64_t expert : keep) ++left[expert / r.group_size()];
  const bool even = std::all_of(left.begin(), left.end(), [&](int64_t n) { return n == left[0]; });
  TORCH_CHECK_VALUE(even && left[0] >= r.least(), "Moe: experts ", keep, " leave ", left,
                    " of the ", r.group_size(), " of each group; it must be equally many, and ",
                    r.least(), " at least");
}

void MoeImpl::units_cut(const std::vector<int64_t>& keep) {
  std::vector<int64_t> counts;
  for (const int64_t expert : keep) {
    if (!load_.counts.empty()) counts.push_back(load_.counts[expert]);
  }
  load_.counts = std::move(counts);
  options.router.experts = std::ssize(keep);
}

ExpertLoad MoeImpl::take_load() { return std::exchange(load_, {}); }

Footprint MoeImpl::footprint(const StepShape& step) const {
  const RouterOptions& r = options.router;
  const int64_t choices = r.chosen, hidden = options.hidden;
  // x, each choice's gate and up, its weight and places; the router's scores and what they become.
  Footprint f{.saved = r.dim + choices * (2 * hidden + 8) + 3 * r.experts,
              .backward = 2 * r.dim + 2 * r.experts,
              .gradients = trained_numel(*this)};
  // All choices' gradients of x (kernels/experts.cpp: where rows are few), and of the expert that
  // works its rows of x or their gradients, and what is made of them.
  f.backward += choices * r.dim + choices * (3 * r.dim + 4 * hidden) / r.experts;
  if (shared_experts) {
    const Footprint shared = shared_experts->footprint(step);
    f.saved += shared.saved - (shared_experts->gate_proj->keeps_input() ? r.dim : 0);
    f.backward += shared.backward;
  }
  return f;
}

int64_t MoeImpl::idle() const {
  const RouterOptions& r = options.router;
  return (r.experts - r.chosen) * 3 * options.hidden * r.dim;
}

int64_t MoeImpl::flops(int64_t positions) const {
  const RouterOptions& r = options.router;
  const int64_t routed = r.experts * r.dim + r.chosen * 3 * options.hidden * r.dim;
  return 2 * routed + FeedForwardImpl::flops(positions);  // of the shared MLP's layers
}

}  // namespace hone::nn
