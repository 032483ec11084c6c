#include "hone/nn/hyper_connection.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include "hone/kernels/dispatch.h"
#include "hone/kernels/sinkhorn.h"

namespace hone::nn {
namespace {

/// What weighs the streams is of this type, whatever the activations' is.
at::TensorOptions wide(const at::TensorOptions& options) {
  return options.dtype(options.dtype() == at::kDouble ? at::kDouble : at::kFloat);
}

/// fn x / rms(x): x [T, N], fn [rows, N] of one type -> [T, rows], without a copy of x either way.
/// With z = fn x and r = 1 / rms(x): d(x) = r g fn - r^3 (g . z) x / N, d(fn) = (r g)^T x.
class Mixes : public torch::autograd::Function<Mixes> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& fn, double eps) {
    const at::Tensor squares = at::linalg_vector_norm(x, 2, {1}, /*keepdim=*/true).square();
    const at::Tensor r = (squares / x.size(1) + eps).rsqrt(), z = at::linear(x, fn);
    context->save_for_backward({x, fn, r, z});
    return z * r;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &fn = saved[1], &r = saved[2], &z = saved[3];
    const at::Tensor scaled = grads[0] * r;
    at::Tensor grad_x, grad_fn;
    if (context->needs_input_grad(0)) {
      const at::Tensor factor = (grads[0] * z).sum(1, true) * r.pow(3) / x.size(1);
      grad_x = at::mm(scaled, fn).addcmul_(x, factor, -1);
    }
    if (context->needs_input_grad(1)) grad_fn = at::mm(scaled.t(), x);
    return {grad_x, grad_fn, {}};
  }
};

/// sum_j weights[t, j] streams[t, j], of x's type.
at::Tensor weighed(const at::Tensor& weights, const at::Tensor& streams, const at::Tensor& x) {
  return at::bmm(weights.unsqueeze(1), streams).squeeze(1).to(x.scalar_type());
}

void check(const char* who, const at::Tensor& x, const HyperConnectionOptions& options) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(1) == options.streams && x.size(2) == options.dim, who,
                    ": x must be [T, m, D] = [T, ", options.streams, ", ", options.dim, "], got ",
                    x.sizes());
}

/// Numbers a token that the streams take beside activations of half types, where they are needed in
/// float32.
int64_t widened(const HyperConnectionOptions& options, const StepShape& step) {
  return step.half ? 2 * options.streams * options.dim : 0;
}

}  // namespace

HyperConnectionImpl::HyperConnectionImpl(const HyperConnectionOptions& options,
                                         const at::TensorOptions& tensor_options)
    : options(options) {
  const int64_t m = options.streams, rows = (2 + m) * m;
  fn = register_parameter("fn", at::empty({rows, m * options.dim}, wide(tensor_options)));
  base = register_parameter("base", at::empty({rows}, wide(tensor_options)));
  scale = register_parameter("scale", at::empty({3}, wide(tensor_options)));
}

at::Tensor HyperConnectionImpl::forward(
    const at::Tensor& x, const std::function<at::Tensor(const at::Tensor&)>& branch) {
  check("HyperConnection", x, options);
  const int64_t m = options.streams;
  const at::Tensor streams = x.to(fn.scalar_type());
  const auto parts =
      Mixes::apply(streams.flatten(1), fn, options.norm_eps).split_with_sizes({m, m, m * m}, 1);
  const auto bases = base.split_with_sizes({m, m, m * m});
  const auto part = [&](size_t i) { return parts[i] * scale[static_cast<int64_t>(i)] + bases[i]; };
  const at::Tensor pre = part(0).sigmoid() + options.eps;
  const at::Tensor post = (2 * part(1).sigmoid()).to(x.scalar_type());
  const at::Tensor comb =
      kernels::sinkhorn(part(2).view({-1, m, m}), options.iterations, options.eps)
          .to(x.scalar_type());
  const at::Tensor out = branch(weighed(pre, streams, x));
  return at::baddbmm(at::bmm(comb.transpose(1, 2), x), post.unsqueeze(2), out.unsqueeze(1));
}

std::vector<ModuleTensor> HyperConnectionImpl::own_tensors() const {
  return {{.name = "fn", .tensor = fn},
          {.name = "base", .tensor = base, .start = 0},
          {.name = "scale", .tensor = scale, .start = 1}};
}

Footprint HyperConnectionImpl::footprint(const StepShape& step) const {
  const int64_t m = options.streams, width = m * options.dim, rows = (2 + m) * m;
  // The streams, what the branch gave, and some steps to the weights of both. Backward: a gradient
  // of the streams beside that which comes.
  return {.saved = width + options.dim + 5 * rows + widened(options, step),
          .backward = width,
          .gradients = trained_numel(*this)};
}

HyperHeadImpl::HyperHeadImpl(const HyperConnectionOptions& options,
                             const at::TensorOptions& tensor_options)
    : options(options) {
  const int64_t m = options.streams;
  hc_fn = register_parameter("hc_fn", at::empty({m, m * options.dim}, wide(tensor_options)));
  hc_base = register_parameter("hc_base", at::empty({m}, wide(tensor_options)));
  hc_scale = register_parameter("hc_scale", at::empty({1}, wide(tensor_options)));
}

at::Tensor HyperHeadImpl::forward(const at::Tensor& x) {
  check("HyperHead", x, options);
  const at::Tensor streams = x.to(hc_fn.scalar_type());
  const at::Tensor z =
      Mixes::apply(streams.flatten(1), hc_fn, options.norm_eps) * hc_scale + hc_base;
  return weighed(z.sigmoid() + options.eps, streams, x);
}

std::vector<ModuleTensor> HyperHeadImpl::own_tensors() const {
  return {{.name = "hc_fn", .tensor = hc_fn},
          {.name = "hc_base", .tensor = hc_base, .start = 0},
          {.name = "hc_scale", .tensor = hc_scale, .start = 1}};
}

int64_t HyperHeadImpl::saved(const StepShape& step) const {
  return options.streams * (options.dim + 4) + widened(options, step);
}

}  // namespace hone::nn
