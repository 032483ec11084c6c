#include "hone/kernels/experts.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include <optional>
#include <utility>

#include "hone/kernels/cpu/experts.h"
#include "hone/kernels/cpu/swiglu.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/product.h"

// Legend: T tokens, K choices of each, E experts, D width, I width of an expert, n rows of one,
// r rank.
namespace hone::kernels {
namespace {

/// With fewer rows an expert than this, on average, each thread works on experts of its own: a
/// product of so few rows is too small for all threads together. The same where tokens repeat in an
/// expert's rows, which threads must then not add to them side by side.
constexpr int64_t kFewRows = 256;

/// One layer of all experts: y = x (W[e] + scale b[e] a[e])^T.
struct Stack {
  at::Tensor weight;  // [E, out, in]
  ExpertLora lora;

  bool has_lora() const { return lora.a.defined(); }
  /// scale x a[e]^T, [n, r] of x [n, in].
  at::Tensor narrow(const at::Tensor& x, int64_t e) const {
    return product(x, lora.a[e].t()).mul_(lora.scale);
  }
  /// scale grad b[e], [n, r] of grad [n, out]; undefined without an adapter.
  at::Tensor narrow_grad(const at::Tensor& grad, int64_t e) const {
    return has_lora() ? product(grad, lora.b[e]).mul_(lora.scale) : at::Tensor();
  }
  /// out [n, out] of x [n, in].
  void forward(at::Tensor& out, const at::Tensor& x, int64_t e) const {
    product_out(out, x, weight[e].t());
    if (has_lora()) add_product(out, narrow(x, e), lora.b[e].t());
  }
  /// The gradient of x, [n, in], of grad [n, out] and its narrow_grad.
  void backward(at::Tensor& out, const at::Tensor& grad, const at::Tensor& narrow,
                int64_t e) const {
    product_out(out, grad, weight[e]);
    if (has_lora()) add_product(out, narrow, lora.a[e]);
  }
};

/// The weights of all experts, and the order of the tokens that they work on.
struct Experts {
  at::Tensor x, weights;
  Stack gate_up, down;
  ExpertOrder order;
  double limit;

  int64_t count() const { return gate_up.weight.size(0); }
  int64_t hidden() const { return down.weight.size(2); }
  int64_t choices() const { return order.tokens.size(0); }
  bool few_rows() const { return order.repeats || choices() < kFewRows * count(); }
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

  /// The rows of expert e [n, D], which make(rows) fills.
  template <class Make>
  void add(int64_t e, Make make) const {
    const int64_t begin = experts_.order.offsets[e];
    if (all_.defined()) {
      at::Tensor own = experts_.rows_of(all_, e);
      return make(own);
    }
    at::Tensor y = at::empty({experts_.order.offsets[e + 1] - begin, out_.size(1)}, out_.options());
    make(y);
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
      experts.gate_up.forward(own, x, e);
      at::Tensor activated = at::empty({x.size(0), width}, x.options());
      const auto* numbers = read<scalar_t>(own);
      run_rows(SwiGluForward<scalar_t>{.width = width,
                                       .gate_stride = 2 * width,
                                       .up_stride = 2 * width,
                                       .limit = static_cast<scalar_t>(experts.limit),
                                       .gate = numbers,
                                       .up = numbers + width,
                                       .out = activated.mutable_data_ptr<scalar_t>()},
               x.size(0), row_grain(width));
      result.add(e, [&](at::Tensor& y) { experts.down.forward(y, activated, e); });
    });
    result.finish();
  });
  return {out, hidden};
}

/// Undefined where not wanted.
struct StackGrads {
  at::Tensor weight, a, b;

  /// Those of expert e, of grad [n, out] and its narrow_grad, and x [n, in], which input() gives.
  template <class Input>
  void fill(const Stack& stack, int64_t e, const at::Tensor& grad, const at::Tensor& narrow,
            Input input) const {
    if (!weight.defined() && !a.defined() && !b.defined()) return;
    const at::Tensor x = input();
    const auto put = [e](const at::Tensor& all, const at::Tensor& left, const at::Tensor& right) {
      at::Tensor own = all[e];
      product_out(own, left.t(), right);
    };
    if (weight.defined()) put(weight, grad, x);
    if (a.defined()) put(a, narrow, x);
    if (b.defined()) put(b, grad, stack.narrow(x, e));
  }
};

struct ExpertGrads {
  at::Tensor x;        ///< undefined where not wanted
  at::Tensor weights;  ///< always
  StackGrads gate_up, down;
};

template <class T>
void backward_of_expert(const Experts& experts, int64_t e, const at::Tensor& hidden,
                        const at::Tensor& grad, const Gathered<T>* grad_x,
                        const ExpertGrads& grads) {
  const at::Tensor tokens = experts.rows_of(experts.order.tokens, e);
  const at::Tensor own = grad.index_select(0, tokens);
  const at::Tensor narrow = experts.down.narrow_grad(own, e);
  at::Tensor grad_activated = at::empty({own.size(0), experts.hidden()}, own.options());
  experts.down.backward(grad_activated, own, narrow, e);
  at::Tensor scaled = at::empty_like(grad_activated);
  at::Tensor grad_hidden = at::empty({own.size(0), 2 * experts.hidden()}, own.options());
  run_rows(
      ExpertsBackward<T>{.width = experts.hidden(),
                         .limit = static_cast<T>(experts.limit),
                         .places = read<int64_t>(experts.order.places) + experts.order.offsets[e],
                         .weights = read<T>(experts.weights),
                         .hidden = read<T>(experts.rows_of(hidden, e)),
                         .grad = read<T>(grad_activated),
                         .grad_weights = grads.weights.mutable_data_ptr<T>(),
                         .scaled = scaled.mutable_data_ptr<T>(),
                         .grad_hidden = grad_hidden.mutable_data_ptr<T>()},
      own.size(0), row_grain(experts.hidden()));
  grads.down.fill(experts.down, e, own, narrow, [&] { return scaled; });
  const at::Tensor narrow_hidden = experts.gate_up.narrow_grad(grad_hidden, e);
  if (grad_x) {
    grad_x->add(e,
                [&](at::Tensor& y) { experts.gate_up.backward(y, grad_hidden, narrow_hidden, e); });
  }
  grads.gate_up.fill(experts.gate_up, e, grad_hidden, narrow_hidden,
                     [&] { return experts.x.index_select(0, tokens); });
}

void backward_of(const Experts& experts, const at::Tensor& hidden, const at::Tensor& grad,
                 ExpertGrads grads) {
  for (int64_t e = 0; e < experts.count(); ++e) {
    if (experts.order.offsets[e] < experts.order.offsets[e + 1]) continue;
    for (const StackGrads& stack : {grads.gate_up, grads.down}) {
      for (const at::Tensor& unused : {stack.weight, stack.a, stack.b}) {
        if (unused.defined()) unused[e].zero_();
      }
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

using MaybeTensor = std::optional<at::Tensor>;

class MixedExperts : public torch::autograd::Function<MixedExperts> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weights, const at::Tensor& gate_up,
                            const at::Tensor& down, const MaybeTensor& gate_up_a,
                            const MaybeTensor& gate_up_b, const MaybeTensor& down_a,
                            const MaybeTensor& down_b, const ExpertOrder& order,
                            double gate_up_scale, double down_scale, double limit) {
    const auto lora = [](const MaybeTensor& a, const MaybeTensor& b, double scale) {
      return a ? ExpertLora{*a, b->contiguous(), scale} : ExpertLora{};
    };
    const auto [out, hidden] = forward_of({x,
                                           weights,
                                           {gate_up, lora(gate_up_a, gate_up_b, gate_up_scale)},
                                           {down, lora(down_a, down_b, down_scale)},
                                           order,
                                           limit});
    const at::Tensor none;
    context->save_for_backward({x, weights, gate_up, down, gate_up_a.value_or(none),
                                gate_up_b.value_or(none), down_a.value_or(none),
                                down_b.value_or(none), order.places, order.tokens, order.rows,
                                hidden});
    context->saved_data["offsets"] = order.offsets;
    context->saved_data["repeats"] = order.repeats;
    context->saved_data["limit"] = limit;
    context->saved_data["gate_up_scale"] = gate_up_scale;
    context->saved_data["down_scale"] = down_scale;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads_of_out) {
    const auto saved = context->get_saved_variables();
    const auto lora = [&](size_t a, const char* scale) {
      if (!saved[a].defined()) return ExpertLora{};
      return ExpertLora{saved[a], saved[a + 1].contiguous(), context->saved_data[scale].toDouble()};
    };
    const Experts experts{saved[0],
                          saved[1],
                          {saved[2], lora(4, "gate_up_scale")},
                          {saved[3], lora(6, "down_scale")},
                          {context->saved_data["offsets"].toIntVector(), saved[8], saved[9],
                           saved[10], context->saved_data["repeats"].toBool()},
                          context->saved_data["limit"].toDouble()};
    std::vector<at::Tensor> grads;
    for (size_t i = 0, edge = 0; i < 8; ++i) {  // an input that is not there has no edge
      const bool there = saved[i].defined();
      const bool wanted = there && (i == 1 || context->needs_input_grad(edge));
      grads.push_back(wanted ? at::empty_like(saved[i], at::MemoryFormat::Contiguous)
                             : at::Tensor());
      edge += there;
    }
    backward_of(
        experts, saved[11], grads_of_out[0].contiguous(),
        {grads[0], grads[1], {grads[2], grads[4], grads[5]}, {grads[3], grads[6], grads[7]}});
    grads.resize(12);  // order, scales and limit have none
    return grads;
  }
};

/// Whether ATen's grouped product takes these: its rows must begin at multiples of 16 bytes, and
/// float64 it does not know.
bool groupable(const at::Tensor& x, const at::Tensor& weight) {
  const auto aligned = [](int64_t width, const at::Tensor& of) {
    return width * static_cast<int64_t>(of.element_size()) % 16 == 0;
  };
  return x.scalar_type() != at::kDouble && x.scalar_type() == weight.scalar_type() &&
         aligned(weight.size(1), x) && aligned(weight.size(2), x);
}

/// x W[e]^T, [T K, out] of each expert's own rows of x [T K, in] and weight [E, out, in].
at::Tensor grouped_product(const at::Tensor& x, const at::Tensor& weight, const Experts& experts) {
  const auto& offsets = experts.order.offsets;
  if (groupable(x, weight)) {
    const at::Tensor ends = torch::tensor(at::IntArrayRef(offsets).slice(1), at::kInt);
    return at::_grouped_mm(x, weight.transpose(1, 2), ends.to(x.device()));
  }
  std::vector<at::Tensor> rows;
  for (int64_t e = 0; e < experts.count(); ++e) {
    if (offsets[e] < offsets[e + 1]) rows.push_back(project(experts.rows_of(x, e), weight[e]));
  }
  return at::cat(rows);
}

/// The same by ATen's operations, for other types and devices.
at::Tensor composite(const Experts& experts) {
  const ExpertOrder& order = experts.order;
  if (experts.choices() == 0) return at::zeros_like(experts.x);
  const auto of = [&](const Stack& stack, const at::Tensor& in) {
    const at::Tensor y = grouped_product(in, stack.weight, experts);
    if (!stack.has_lora()) return y;
    const at::Tensor narrow = grouped_product(in, stack.lora.a, experts);
    return y + grouped_product(narrow, stack.lora.b, experts) * stack.lora.scale;
  };
  const auto halves = of(experts.gate_up, experts.x.index_select(0, order.tokens)).chunk(2, -1);
  const at::Tensor y = of(experts.down, swiglu(halves[0], halves[1], experts.limit));
  const at::Tensor own = experts.weights.flatten().index_select(0, order.places);
  return at::zeros_like(experts.x).index_add(0, order.tokens,
                                             (y * own.unsqueeze(1)).to(experts.x.scalar_type()));
}

void check_lora(const char* name, const ExpertLora& lora, const at::Tensor& weight) {
  const auto &a = lora.a, &b = lora.b;
  TORCH_CHECK_VALUE(a.defined() == b.defined(), "mixed_experts: ", name, " must have a and b");
  if (!a.defined()) return;
  TORCH_CHECK_VALUE(a.dim() == 3 && b.dim() == 3 && a.size(0) == weight.size(0) &&
                        a.size(2) == weight.size(2) && b.size(0) == weight.size(0) &&
                        b.size(1) == weight.size(1) && b.size(2) == a.size(1),
                    "mixed_experts: ", name, " must be a [E, r, in] and b [E, out, r] of weights ",
                    weight.sizes(), ", got ", a.sizes(), " and ", b.sizes());
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
    order.repeats |= at > order.offsets[chosen[i]] && token_of[at - 1] == token_of[at];
    row_of[i] = at;
  }
  order.places = places.to(choices.device());
  order.tokens = tokens.to(choices.device());
  order.rows = rows.to(choices.device());
  return order;
}

at::Tensor mixed_experts(const at::Tensor& x, const at::Tensor& weights, const at::Tensor& gate_up,
                         const at::Tensor& down, const ExpertOrder& order,
                         const ExpertLora& gate_up_lora, const ExpertLora& down_lora,
                         double limit) {
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
  check_lora("gate_up_lora", gate_up_lora, gate_up);
  check_lora("down_lora", down_lora, down);
  const auto maybe = [](const at::Tensor& y) {
    return y.defined() ? MaybeTensor(y) : std::nullopt;
  };
  return dispatch(
      {x, weights, gate_up, down},
      [&] {
        return MixedExperts::apply(x, weights.contiguous(), gate_up, down, maybe(gate_up_lora.a),
                                   maybe(gate_up_lora.b), maybe(down_lora.a), maybe(down_lora.b),
                                   order, gate_up_lora.scale, down_lora.scale, limit);
      },
      [&] {
        return composite({x, weights, {gate_up, gate_up_lora}, {down, down_lora}, order, limit});
      });
}

}  // namespace hone::kernels
