#include "hone/kernels/experts.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/cpu/experts.h"
#include "hone/kernels/cpu/swiglu.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/product.h"

// Legend: T tokens, K choices of each, E experts, D width, I width of an expert, n rows of one.
namespace hone::kernels {
namespace {

/// The weights of all experts, and the order of the tokens that they work on.
struct Experts {
  at::Tensor x, weights, gate_up, down;
  std::vector<int64_t> offsets;
  at::Tensor places, tokens;

  int64_t count() const { return gate_up.size(0); }
  int64_t hidden() const { return down.size(2); }
  at::Tensor rows_of(const at::Tensor& sorted, int64_t e) const {
    return sorted.slice(0, offsets[e], offsets[e + 1]);
  }

  /// Calls body(e) for the experts that have tokens.
  template <class Body>
  void for_each(Body body) const {
    for (int64_t e = 0; e < count(); ++e) {
      if (offsets[e] < offsets[e + 1]) body(e);
    }
  }
};

/// out[token] += y [n, D] for the tokens of expert e, times their weights if given.
template <class T>
void add_rows(const Experts& experts, int64_t e, const T* weights, const at::Tensor& y,
              at::Tensor& out) {
  const int64_t begin = experts.offsets[e];
  run_rows(AddExpertRows<T>{.width = y.size(1),
                            .tokens = read<int64_t>(experts.tokens) + begin,
                            .places = read<int64_t>(experts.places) + begin,
                            .weights = weights,
                            .y = read<T>(y),
                            .out = out.mutable_data_ptr<T>()},
           y.size(0), row_grain(y.size(1)));
}

/// The result, and hidden [T K, 2 I]: each choice's gate and up.
std::pair<at::Tensor, at::Tensor> forward_of(const Experts& experts) {
  const int64_t width = experts.hidden();
  at::Tensor hidden = at::empty({experts.tokens.size(0), 2 * width}, experts.x.options());
  at::Tensor out = at::zeros_like(experts.x, at::MemoryFormat::Contiguous);
  AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "mixed_experts", [&] {
    experts.for_each([&](int64_t e) {
      const at::Tensor x = experts.x.index_select(0, experts.rows_of(experts.tokens, e));
      at::Tensor own = experts.rows_of(hidden, e);
      product_out(own, x, experts.gate_up[e].t());
      at::Tensor activated = at::empty({x.size(0), width}, x.options());
      const auto* numbers = read<scalar_t>(own);
      run_rows(SwiGluForward<scalar_t>{.width = width,
                                       .gate_stride = 2 * width,
                                       .up_stride = 2 * width,
                                       .gate = numbers,
                                       .up = numbers + width,
                                       .out = activated.mutable_data_ptr<scalar_t>()},
               x.size(0), row_grain(width));
      add_rows(experts, e, read<scalar_t>(experts.weights), product(activated, experts.down[e].t()),
               out);
    });
  });
  return {out, hidden};
}

struct ExpertGrads {
  at::Tensor x, weights, gate_up, down;  ///< undefined where not wanted; weights' always
};

void backward_of_expert(const Experts& experts, int64_t e, const at::Tensor& hidden,
                        const at::Tensor& grad, ExpertGrads& grads) {
  const at::Tensor tokens = experts.rows_of(experts.tokens, e);
  const at::Tensor own = grad.index_select(0, tokens);
  const at::Tensor grad_activated = product(own, experts.down[e]);
  at::Tensor scaled = at::empty_like(grad_activated);
  at::Tensor grad_hidden = at::empty({own.size(0), 2 * experts.hidden()}, own.options());
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "mixed_experts", [&] {
    run_rows(ExpertsBackward<scalar_t>{.width = experts.hidden(),
                                       .places = read<int64_t>(experts.places) + experts.offsets[e],
                                       .weights = read<scalar_t>(experts.weights),
                                       .hidden = read<scalar_t>(experts.rows_of(hidden, e)),
                                       .grad = read<scalar_t>(grad_activated),
                                       .grad_weights = grads.weights.mutable_data_ptr<scalar_t>(),
                                       .scaled = scaled.mutable_data_ptr<scalar_t>(),
                                       .grad_hidden = grad_hidden.mutable_data_ptr<scalar_t>()},
             own.size(0), row_grain(experts.hidden()));
    if (grads.x.defined()) {
      add_rows<scalar_t>(experts, e, nullptr, product(grad_hidden, experts.gate_up[e]), grads.x);
    }
  });
  if (grads.down.defined()) {
    at::Tensor into = grads.down[e];
    product_out(into, own.t(), scaled);
  }
  if (grads.gate_up.defined()) {
    at::Tensor into = grads.gate_up[e];
    product_out(into, grad_hidden.t(), experts.x.index_select(0, tokens));
  }
}

class MixedExperts : public torch::autograd::Function<MixedExperts> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weights, const at::Tensor& gate_up,
                            const at::Tensor& down, const ExpertOrder& order) {
    const auto [out, hidden] =
        forward_of({x, weights, gate_up, down, order.offsets, order.places, order.tokens});
    context->save_for_backward({x, weights, gate_up, down, order.places, order.tokens, hidden});
    context->saved_data["offsets"] = order.offsets;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads_of_out) {
    const auto saved = context->get_saved_variables();
    const Experts experts{
        saved[0], saved[1], saved[2], saved[3], context->saved_data["offsets"].toIntVector(),
        saved[4], saved[5]};
    const auto contiguous = at::MemoryFormat::Contiguous;
    ExpertGrads grads{.weights = at::empty_like(experts.weights, contiguous)};
    if (context->needs_input_grad(0)) grads.x = at::zeros_like(experts.x, contiguous);
    if (context->needs_input_grad(2)) grads.gate_up = at::empty_like(experts.gate_up, contiguous);
    if (context->needs_input_grad(3)) grads.down = at::empty_like(experts.down, contiguous);
    for (int64_t e = 0; e < experts.count(); ++e) {
      if (experts.offsets[e] < experts.offsets[e + 1]) continue;
      for (const at::Tensor& unused : {grads.gate_up, grads.down}) {
        if (unused.defined()) unused[e].zero_();
      }
    }
    const at::Tensor grad = grads_of_out[0].contiguous();
    experts.for_each([&](int64_t e) { backward_of_expert(experts, e, saved[6], grad, grads); });
    return {grads.x, grads.weights, grads.gate_up, grads.down, {}};
  }
};

/// The same by ATen's operations, for other types and devices.
at::Tensor composite(const Experts& experts) {
  at::Tensor out = at::zeros_like(experts.x);
  const at::Tensor weights = experts.weights.flatten();
  experts.for_each([&](int64_t e) {
    const at::Tensor tokens = experts.rows_of(experts.tokens, e);
    const auto halves = project(experts.x.index_select(0, tokens), experts.gate_up[e]).chunk(2, -1);
    const at::Tensor y = project(at::silu(halves[0]) * halves[1], experts.down[e]);
    const at::Tensor own = weights.index_select(0, experts.rows_of(experts.places, e));
    out = out.index_add(0, tokens, (y * own.unsqueeze(1)).to(out.scalar_type()));
  });
  return out;
}

}  // namespace

ExpertOrder order_by_expert(const at::Tensor& choices, int64_t experts) {
  TORCH_CHECK_VALUE(choices.dim() == 2 && choices.scalar_type() == at::kLong,
                    "order_by_expert: choices must be int64 [T, K], got ", choices.scalar_type(),
                    " ", choices.sizes());
  const at::Tensor flat = choices.detach().cpu().contiguous();
  const auto* chosen = read<int64_t>(flat);
  const int64_t count = flat.numel(), each = choices.size(1);
  ExpertOrder order{.offsets = std::vector<int64_t>(experts + 1, 0)};
  for (int64_t i = 0; i < count; ++i) {
    TORCH_CHECK_VALUE(chosen[i] >= 0 && chosen[i] < experts,
                      "order_by_expert: choices must be in [0, ", experts, "), got ", chosen[i]);
    ++order.offsets[chosen[i] + 1];
  }
  for (int64_t e = 0; e < experts; ++e) order.offsets[e + 1] += order.offsets[e];
  std::vector<int64_t> next(order.offsets.begin(), order.offsets.end() - 1);
  at::Tensor places = at::empty({count}, at::kLong), tokens = at::empty({count}, at::kLong);
  auto *place_of = places.mutable_data_ptr<int64_t>(),
       *token_of = tokens.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = next[chosen[i]]++;
    place_of[at] = i;
    token_of[at] = i / each;
  }
  order.places = places.to(choices.device());
  order.tokens = tokens.to(choices.device());
  return order;
}

at::Tensor mixed_experts(const at::Tensor& x, const at::Tensor& weights, const at::Tensor& gate_up,
                         const at::Tensor& down, const ExpertOrder& order) {
  const int64_t experts = std::ssize(order.offsets) - 1;
  TORCH_CHECK_VALUE(x.dim() == 2 && weights.dim() == 2 && weights.size(0) == x.size(0) &&
                        weights.numel() == order.places.size(0),
                    "mixed_experts: x must be [T, D] and weights [T, K] of the ",
                    order.places.size(0), " choices, got ", x.sizes(), " and ", weights.sizes());
  TORCH_CHECK_VALUE(
      gate_up.dim() == 3 && down.dim() == 3 && gate_up.size(0) == experts &&
          down.size(0) == experts && gate_up.size(1) == 2 * down.size(2) &&
          gate_up.size(2) == x.size(1) && down.size(1) == x.size(1),
      "mixed_experts: gate_up must be [E, 2 I, D] and down [E, D, I] of E = ", experts,
      " and D = ", x.size(1), ", got ", gate_up.sizes(), " and ", down.sizes());
  return dispatch(
      {x, weights, gate_up, down},
      [&] { return MixedExperts::apply(x, weights.contiguous(), gate_up, down, order); },
      [&] {
        return composite({x, weights, gate_up, down, order.offsets, order.places, order.tokens});
      });
}

}  // namespace hone::kernels
