#include "hone/kernels/experts.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include <optional>
#include <utility>

#include "hone/kernels/cpu/experts.h"
#include "hone/kernels/cpu/swiglu.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/product.h"

// Legend: T tokens, K choices of each, E experts, D width, I width of an expert, n rows of one.
namespace hone::kernels {
namespace {

/// With fewer rows an expert than this, on average, each thread works on experts of its own: a
/// product of so few rows is too small for all threads together.
constexpr int64_t kFewRows = 256;

/// The weights of all experts, and the order of the tokens that they work on.
struct Experts {
  at::Tensor x, weights, gate_up, down;
  ExpertOrder order;

  int64_t count() const { return gate_up.size(0); }
  int64_t hidden() const { return down.size(2); }
  int64_t choices() const { return order.tokens.size(0); }
  bool few_rows() const { return choices() < kFewRows * count(); }
  at::Tensor rows_of(const at::Tensor& sorted, int64_t e) const {
    return sorted.slice(0, order.offsets[e], order.offsets[e + 1]);
  }

  /// Calls body(e) for the experts that have tokens: where rows are few in all threads, each with
  /// about as many rows.
  template <class Body>
  void for_each(Body body) const {
    const auto some = [&](int64_t begin, int64_t end) {  // of the rows: experts that begin there
      const at::NoGradGuard no_grad;                     // which a thread has of its own
      for (int64_t e = 0; e < count(); ++e) {
        const int64_t first = order.offsets[e];
        if (first >= begin && first < end && first < order.offsets[e + 1]) body(e);
      }
    };
    few_rows() ? machine::parallel_for(choices(), 1, some) : some(0, choices());
  }
};

/// Brings each expert's rows [n, D] together: a token's sum, by its weights if `weighed`. Where
/// experts work side by side, all rows first.
template <class T>
class Gathered {
 public:
  Gathered(const Experts& experts, bool weighed, at::Tensor& out)
      : experts_(experts), weights_(weighed ? read<T>(experts.weights) : nullptr), out_(out) {
    if (experts.few_rows()) {
      all_ = at::empty({experts.choices(), out.size(1)}, out.options());
    } else {
      out.zero_();
    }
  }

  /// a [n, I] by b [I, D], the rows of expert e.
  void add(int64_t e, const at::Tensor& a, const at::Tensor& b) const {
    if (all_.defined()) {
      at::Tensor own = experts_.rows_of(all_, e);
      return product_out(own, a, b);
    }
    const at::Tensor y = product(a, b);
    const int64_t begin = experts_.order.offsets[e];
    run_rows(AddExpertRows<T>{.width = y.size(1),
                              .tokens = read<int64_t>(experts_.order.tokens) + begin,
                              .places = read<int64_t>(experts_.order.places) + begin,
                              .weights = weights_,
                              .y = read<T>(y),
                              .out = out_.mutable_data_ptr<T>()},
             y.size(0), row_grain(y.size(1)));
  }

  void finish() const {
    if (!all_.defined()) return;
    const int64_t each = experts_.order.rows.size(1), width = out_.size(1);
    run_rows(CombineExpertRows<T>{.width = width,
                                  .each = each,
                                  .from = read<int64_t>(experts_.order.rows),
                                  .weights = weights_,
                                  .y = read<T>(all_),
                                  .out = out_.mutable_data_ptr<T>()},
             out_.size(0), row_grain(each * width));
  }

 private:
  const Experts& experts_;
  const T* weights_;
  at::Tensor& out_;
  at::Tensor all_;  // undefined: rows are added at once
};

/// The result, and hidden [T K, 2 I]: each choice's gate and up.
std::pair<at::Tensor, at::Tensor> forward_of(const Experts& experts) {
  const int64_t width = experts.hidden();
  at::Tensor hidden = at::empty({experts.choices(), 2 * width}, experts.x.options());
  at::Tensor out = at::empty_like(experts.x, at::MemoryFormat::Contiguous);
  AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "mixed_experts", [&] {
    const Gathered<scalar_t> result(experts, /*weighed=*/true, out);
    experts.for_each([&](int64_t e) {
      const at::Tensor x = experts.x.index_select(0, experts.rows_of(experts.order.tokens, e));
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
      result.add(e, activated, experts.down[e].t());
    });
    result.finish();
  });
  return {out, hidden};
}

struct ExpertGrads {
  at::Tensor x, weights, gate_up, down;  ///< undefined where not wanted; weights' always
};

template <class T>
void backward_of_expert(const Experts& experts, int64_t e, const at::Tensor& hidden,
                        const at::Tensor& grad, const Gathered<T>* grad_x,
                        const ExpertGrads& grads) {
  const at::Tensor tokens = experts.rows_of(experts.order.tokens, e);
  const at::Tensor own = grad.index_select(0, tokens);
  const at::Tensor grad_activated = product(own, experts.down[e]);
  at::Tensor scaled = at::empty_like(grad_activated);
  at::Tensor grad_hidden = at::empty({own.size(0), 2 * experts.hidden()}, own.options());
  run_rows(
      ExpertsBackward<T>{.width = experts.hidden(),
                         .places = read<int64_t>(experts.order.places) + experts.order.offsets[e],
                         .weights = read<T>(experts.weights),
                         .hidden = read<T>(experts.rows_of(hidden, e)),
                         .grad = read<T>(grad_activated),
                         .grad_weights = grads.weights.mutable_data_ptr<T>(),
                         .scaled = scaled.mutable_data_ptr<T>(),
                         .grad_hidden = grad_hidden.mutable_data_ptr<T>()},
      own.size(0), row_grain(experts.hidden()));
  if (grad_x) grad_x->add(e, grad_hidden, experts.gate_up[e]);
  if (grads.down.defined()) {
    at::Tensor into = grads.down[e];
    product_out(into, own.t(), scaled);
  }
  if (grads.gate_up.defined()) {
    at::Tensor into = grads.gate_up[e];
    product_out(into, grad_hidden.t(), experts.x.index_select(0, tokens));
  }
}

void backward_of(const Experts& experts, const at::Tensor& hidden, const at::Tensor& grad,
                 ExpertGrads& grads) {
  for (int64_t e = 0; e < experts.count(); ++e) {
    if (experts.order.offsets[e] < experts.order.offsets[e + 1]) continue;
    for (const at::Tensor& unused : {grads.gate_up, grads.down}) {
      if (unused.defined()) unused[e].zero_();
    }
  }
  AT_DISPATCH_FLOATING_TYPES(grad.scalar_type(), "mixed_experts", [&] {
    std::optional<Gathered<scalar_t>> grad_x;
    if (grads.x.defined()) grad_x.emplace(experts, /*weighed=*/false, grads.x);
    experts.for_each([&](int64_t e) {
      backward_of_expert<scalar_t>(experts, e, hidden, grad, grad_x ? &*grad_x : nullptr, grads);
    });
    if (grad_x) grad_x->finish();
  });
}

class MixedExperts : public torch::autograd::Function<MixedExperts> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weights, const at::Tensor& gate_up,
                            const at::Tensor& down, const ExpertOrder& order) {
    const auto [out, hidden] = forward_of({x, weights, gate_up, down, order});
    context->save_for_backward(
        {x, weights, gate_up, down, order.places, order.tokens, order.rows, hidden});
    context->saved_data["offsets"] = order.offsets;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads_of_out) {
    const auto saved = context->get_saved_variables();
    const Experts experts{
        saved[0],
        saved[1],
        saved[2],
        saved[3],
        {context->saved_data["offsets"].toIntVector(), saved[4], saved[5], saved[6]}};
    const auto wanted = [&](size_t input) {
      return context->needs_input_grad(input)
                 ? at::empty_like(saved[input], at::MemoryFormat::Contiguous)
                 : at::Tensor();
    };
    ExpertGrads grads{wanted(0), at::empty_like(experts.weights), wanted(2), wanted(3)};
    backward_of(experts, saved[7], grads_of_out[0].contiguous(), grads);
    return {grads.x, grads.weights, grads.gate_up, grads.down, {}};
  }
};

/// The same by ATen's operations, for other types and devices.
at::Tensor composite(const Experts& experts) {
  at::Tensor out = at::zeros_like(experts.x);
  const at::Tensor weights = experts.weights.flatten();
  for (int64_t e = 0; e < experts.count(); ++e) {
    if (experts.order.offsets[e] == experts.order.offsets[e + 1]) continue;
    const at::Tensor tokens = experts.rows_of(experts.order.tokens, e);
    const auto halves = project(experts.x.index_select(0, tokens), experts.gate_up[e]).chunk(2, -1);
    const at::Tensor y = project(at::silu(halves[0]) * halves[1], experts.down[e]);
    const at::Tensor own = weights.index_select(0, experts.rows_of(experts.order.places, e));
    out = out.index_add(0, tokens, (y * own.unsqueeze(1)).to(out.scalar_type()));
  }
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
  at::Tensor rows = at::empty(choices.sizes(), at::kLong);
  auto *place_of = places.mutable_data_ptr<int64_t>(),
       *token_of = tokens.mutable_data_ptr<int64_t>(), *row_of = rows.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = next[chosen[i]]++;
    place_of[at] = i;
    token_of[at] = i / each;
    row_of[i] = at;
  }
  order.places = places.to(choices.device());
  order.tokens = tokens.to(choices.device());
  order.rows = rows.to(choices.device());
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
      [&] { return composite({x, weights, gate_up, down, order}); });
}

}  // namespace hone::kernels
