#include "hone/kernels/quantised_linear.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "hone/kernels/product.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Rows of 8-bit codes as the product takes them.
Int8Rows rows_of(const QuantisedWeight& weight) {
  TORCH_CHECK_VALUE(!weight.format.packed && weight.format.group == 0,
                    "quantised_linear: rounded inputs need weights of 8 bits with a scale a row");
  return {weight.codes, weight.scales.to(at::kFloat).squeeze(1)};
}

/// What the product takes beside its variables.
struct Constants {
  QuantisedWeight weight;
  at::Tensor bias;  ///< without gradient; undefined for none
  InputRounding inputs;
};

/// Variables: x and the float weight that was rounded, empty where there is none. Saves the rounded
/// input where there is one, else x.
class QuantisedLinear : public torch::autograd::Function<QuantisedLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& master,
                            const Constants& with) {
    const QuantisedWeight& weight = with.weight;
    at::Tensor y;
    Int8Rows rounded;
    if (with.inputs.rounds) {
      rounded = quantise_rows(x, with.inputs.divisor);
      y = int8_product(rounded, rows_of(weight), with.bias).to(x.scalar_type());
    } else {
      y = project(x, dequantise(weight, x.scalar_type()), with.bias);
    }
    const bool keeps = master.requires_grad();
    context->save_for_backward({weight.codes, weight.scales,
                                !keeps               ? at::Tensor()
                                : with.inputs.rounds ? rounded.values
                                                     : x,
                                keeps ? rounded.scales : at::Tensor()});
    context->saved_data["bits"] = weight.format.bits;
    context->saved_data["group"] = weight.format.group;
    context->saved_data["packed"] = weight.format.packed;
    context->saved_data["columns"] = weight.columns;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &kept = saved[2], &scales = saved[3];
    const at::Tensor grad = grads[0].contiguous();
    variable_list result(3);
    if (context->needs_input_grad(0)) {
      result[0] = product(grad, dequantise(saved_weight(context, saved), grad.scalar_type()));
    }
    if (kept.defined()) {
      result[1] = product(grad.t(), scales.defined()
                                        ? dequantise(Int8Rows{kept, scales}).to(grad.scalar_type())
                                        : kept);
    }
    return result;
  }

 private:
  static QuantisedWeight saved_weight(AutogradContext* context, const variable_list& saved) {
    auto& data = context->saved_data;
    return {{data["bits"].toInt(), data["group"].toInt(), data["packed"].toBool()},
            data["columns"].toInt(),
            saved[0],
            saved[1]};
  }
};

at::Tensor apply(const at::Tensor& x, const at::Tensor& master, const at::Tensor& bias,
                 const QuantisedWeight& weight, const InputRounding& inputs) {
  const bool trains = bias.defined() && bias.requires_grad() && at::GradMode::is_enabled();
  const at::Tensor y =
      QuantisedLinear::apply(x, master, Constants{weight, trains ? at::Tensor() : bias, inputs});
  return trains ? y + bias : y;
}

}  // namespace

at::Tensor int8_product(const Int8Rows& x, const Int8Rows& w, const at::Tensor& bias) {
  TORCH_CHECK_VALUE(x.values.size(1) == w.values.size(1),
                    "int8_product: x [m, k] and w [n, k] are ", x.values.sizes(), " and ",
                    w.values.sizes());
  const at::NoGradGuard no_grad;
  // Whole numbers below 2^53, so exact.
  at::Tensor y = at::mm(x.values.to(at::kDouble), w.values.to(at::kDouble).t()).to(at::kFloat);
  y.mul_(x.scales.unsqueeze(1)).mul_(w.scales);
  if (bias.defined()) y.add_(bias.to(at::kFloat));
  return y;
}

at::Tensor quantised_linear(const at::Tensor& x, const QuantisedWeight& weight,
                            const at::Tensor& bias, const InputRounding& inputs) {
  return apply(x, at::empty({0}, x.options()), bias, weight, inputs);
}

at::Tensor rounded_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                          const WeightFormat& format, const InputRounding& inputs) {
  return apply(x, weight, bias, quantise_weight(weight, format), inputs);
}

}  // namespace hone::kernels
