/// Gradients against central differences, and tensors against each other.
#pragma once
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace hone::test {

/// max |a - b| / max(|b|), computed in float64; infinite unless shapes agree.
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  if (b.numel() == 0) return 0;
  const at::Tensor x = a.detach().to(at::kCPU, at::kDouble),
                   y = b.detach().to(at::kCPU, at::kDouble);
  const double scale = std::max(y.abs().max().item<double>(), 1e-30);
  const double worst = (x - y).abs().max().item<double>();
  return std::isnan(worst) ? std::numeric_limits<double>::infinity() : worst / scale;
}

using Differentiable = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// Checks d(sum(c * f(inputs))) / d(input) by autograd, c fixed and random, against central
/// differences for each element of each input. Returns "" or the first bad element.
///
/// Inputs are float64 leaves; f is evaluated at x +- step, whose truncation (step^2) and rounding
/// (1e-16 / step) errors are about 1e-10 at the default step: `tolerance`, relative to the largest
/// entry of the gradient but at least absolute, leaves room for curvature.
inline std::string gradient_error(const Differentiable& f, const std::vector<at::Tensor>& inputs,
                                  double tolerance = 1e-7, double step = 1e-5) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) {
    TORCH_CHECK(input.scalar_type() == at::kDouble, "gradient_error: inputs must be float64");
    leaves.push_back(input.detach().clone().requires_grad_());
  }
  const at::Tensor out = f(leaves);
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(17);
  const at::Tensor cotangent = at::randn(out.sizes(), generator, out.options());
  const auto grads =
      torch::autograd::grad({out}, leaves, {cotangent}, /*retain_graph=*/std::nullopt,
                            /*create_graph=*/false, /*allow_unused=*/false);
  const torch::NoGradGuard no_grad;
  const auto value = [&] { return (f(leaves) * cotangent).sum().item<double>(); };
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (grads[i].sizes() != leaves[i].sizes()) return "gradient " + std::to_string(i) + ": shape";
    const at::Tensor analytic = grads[i].contiguous();
    const double scale = std::max(1.0, analytic.abs().max().item<double>());
    auto* x = leaves[i].data_ptr<double>();
    for (int64_t j = 0; j < leaves[i].numel(); ++j) {
      const double kept = x[j];
      x[j] = kept + step;
      const double above = value();
      x[j] = kept - step;
      const double below = value();
      x[j] = kept;
      const double numeric = (above - below) / (2 * step), got = analytic.data_ptr<double>()[j];
      if (!(std::abs(numeric - got) <= tolerance * scale)) {
        std::ostringstream message;
        message << "input " << i << " element " << j << ": autograd " << got << ", differences "
                << numeric;
        return message.str();
      }
    }
  }
  return "";
}

}  // namespace hone::test
