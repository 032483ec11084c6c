#include "hone/kernels/quantised_linear.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "hone/kernels/cpu/int8_product.h"
#include "hone/kernels/cpu/quantise.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/product.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kLargestDepth = 131071;  // below 2^31 / 128^2: sums fit 32 bits

template <machine::Int8Isa kIsa>
void run(const Int8Product& product) {
  const int64_t grain = std::max<int64_t>(16, row_grain(product.depth * product.rows / 4));
  machine::parallel_for(product.columns, grain,
                        [&](int64_t begin, int64_t end) { product.run<kIsa>(begin, end); });
}

at::Tensor product_by_loops(const Int8Rows& x, const Int8Rows& w_any, const at::Tensor& bias,
                            machine::Int8Isa isa) {
  const Int8Rows w{w_any.values.contiguous(), w_any.scales.contiguous()};
  at::Tensor out = at::empty({x.values.size(0), w.values.size(0)}, at::kFloat);
  Int8Product product{.rows = out.size(0),
                      .columns = out.size(1),
                      .depth = x.values.size(1),
                      .x = read<int8_t>(x.values),
                      .w = read<int8_t>(w.values),
                      .wide_x = nullptr,
                      .row_sums = nullptr,
                      .x_scales = read<float>(x.scales),
                      .w_scales = read<float>(w.scales),
                      .bias = bias.defined() ? read<float>(bias) : nullptr,
                      .out = out.mutable_data_ptr<float>()};
  at::Tensor prepared;
  if (isa == machine::Int8Isa::kAvx2) {
    prepared = x.values.to(at::kShort);
    product.wide_x = read<int16_t>(prepared);
    run<machine::Int8Isa::kAvx2>(product);
    return out;
  }
  prepared = x.values.sum(1, false, at::kInt).mul_(128);
  product.row_sums = read<int32_t>(prepared);
  isa == machine::Int8Isa::kAvxVnni ? run<machine::Int8Isa::kAvxVnni>(product)
                                    : run<machine::Int8Isa::kAvx512Vnni>(product);
  return out;
}

/// In whole numbers below 2^53, so exact.
at::Tensor product_by_numbers(const Int8Rows& x, const Int8Rows& w, const at::Tensor& bias) {
  at::Tensor y = at::mm(x.values.to(at::kDouble), w.values.to(at::kDouble).t()).to(at::kFloat);
  y.mul_(x.scales.unsqueeze(1)).mul_(w.scales);
  return bias.defined() ? y.add_(bias) : y;
}

/// Whether these instructions multiply as whole numbers do, on this machine: over depths with tails
/// and all signs, the largest values among them.
bool multiplies_right(machine::Int8Isa isa) {
  if (!machine::has_int8_isa(isa)) return false;
  for (const int64_t depth : {3, 64, 261}) {
    const auto rows = [depth](int64_t count, int64_t step, int64_t least) {
      const at::Tensor any =
          at::arange(count * depth, at::kLong).mul_(step).remainder_(256).sub_(128);
      return Int8Rows{any.clamp_min(least).to(at::kChar).view({count, depth}), at::ones({count})};
    };
    const Int8Rows x = rows(7, 89, -128), w = rows(19, 57, -127);
    if (!at::equal(product_by_loops(x, w, {}, isa), product_by_numbers(x, w, {}))) return false;
  }
  return true;
}

/// Whether the chosen instructions do; asked once of each.
bool chosen_are_right() {
  using machine::Int8Isa;
  static const bool right[] = {multiplies_right(Int8Isa::kAvx2),
                               multiplies_right(Int8Isa::kAvxVnni),
                               multiplies_right(Int8Isa::kAvx512Vnni)};
  if (right[static_cast<int>(machine::int8_isa())]) return true;
  TORCH_WARN_ONCE(
      "this CPU's instructions for 8-bit integers multiply wrongly here: they are not used");
  return false;
}

/// Rows of 8-bit codes as the product takes them.
Int8Rows rows_of(const QuantisedWeight& weight) {
  TORCH_CHECK_VALUE(!weight.format.packed && weight.format.group == 0,
                    "quantised_linear: rounded inputs need weights of 8 bits with a scale a row");
  return {weight.codes, weight.scales.to(at::kFloat).squeeze(1)};
}

/// With as many rows or fewer, each meets the codes on its own, and W is not made.
constexpr int64_t kFewRows = 8;

/// x [m, k] as RowByQuantised wants it permuted.
at::Tensor permuted(const at::Tensor& x, const WeightFormat& format) {
  if (!format.packed) return x;
  const int64_t each = 32 / format.bits, rows = x.size(0);
  const int64_t count = x.size(1) / (each * kWordsTogether), whole = count * each * kWordsTogether;
  const at::Tensor blocks =
      x.narrow(1, 0, whole).reshape({rows, count, kWordsTogether, each}).transpose(2, 3);
  return at::cat({blocks.reshape({rows, whole}), x.narrow(1, whole, x.size(1) - whole)}, 1);
}

/// x W^T + bias of few rows x [m, k].
at::Tensor rows_by_codes(const at::Tensor& x_any, const QuantisedWeight& weight,
                         const at::Tensor& bias) {
  const at::Tensor x = x_any.contiguous(), other = permuted(x, weight.format);
  const at::Tensor scales = weight.scales.to(at::kFloat).contiguous();
  at::Tensor out = at::empty({x.size(0), weight.codes.size(0)}, at::kFloat);
  for (int64_t row = 0; row < x.size(0); ++row) {
    run_rows(RowByQuantised{.weight = loops_of(weight, scales),
                            .x = read<float>(x) + row * x.size(1),
                            .permuted = read<float>(other) + row * x.size(1),
                            .out = out.mutable_data_ptr<float>() + row * out.size(1)},
             out.size(1), row_grain(weight.columns));
  }
  return bias.defined() ? out.add_(bias) : out;
}

/// What the product takes beside its variables.
struct Constants {
  QuantisedWeight weight;
  at::Tensor bias;  ///< without gradient; undefined for none
  InputRounding inputs;
  Int8Rows rounded;  ///< x, or undefined
};

/// Variables: x and the float weight that was rounded, empty where there is none. Saves the rounded
/// input where there is one, else x.
class QuantisedLinear : public torch::autograd::Function<QuantisedLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& master,
                            const Constants& with) {
    const QuantisedWeight& weight = with.weight;
    at::Tensor y;
    Int8Rows rounded = with.rounded;
    if (with.inputs.rounds) {
      if (!rounded.values.defined()) rounded = quantise_rows(x, with.inputs.divisor);
      y = int8_product(rounded, rows_of(weight), with.bias).to(x.scalar_type());
    } else if (x.size(0) <= kFewRows && x.is_cpu() && x.scalar_type() == at::kFloat) {
      y = rows_by_codes(x, weight, with.bias);
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
                 const QuantisedWeight& weight, const InputRounding& inputs,
                 const Int8Rows& rounded) {
  const bool trains = bias.defined() && bias.requires_grad() && at::GradMode::is_enabled();
  const at::Tensor y = QuantisedLinear::apply(
      x, master, Constants{weight, trains ? at::Tensor() : bias, inputs, rounded});
  return trains ? y + bias : y;
}

}  // namespace

at::Tensor int8_product(const Int8Rows& x, const Int8Rows& w, const at::Tensor& bias) {
  TORCH_CHECK_VALUE(x.values.size(1) == w.values.size(1) && x.values.size(1) <= kLargestDepth,
                    "int8_product: x [m, k] and w [n, k] with k <= ", kLargestDepth, " are ",
                    x.values.sizes(), " and ", w.values.sizes());
  const at::NoGradGuard no_grad;
  const at::Tensor wide = bias.defined() ? bias.detach().to(at::kFloat).contiguous() : bias;
  return x.values.is_cpu() && chosen_are_right() ? product_by_loops(x, w, wide, machine::int8_isa())
                                                 : product_by_numbers(x, w, wide);
}

at::Tensor quantised_linear(const at::Tensor& x, const QuantisedWeight& weight,
                            const at::Tensor& bias, const InputRounding& inputs,
                            const Int8Rows& rounded) {
  return apply(x, at::empty({0}, x.options()), bias, weight, inputs, rounded);
}

at::Tensor rounded_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                          const WeightFormat& format, const InputRounding& inputs,
                          at::ScalarType scale_type, const Int8Rows& rounded) {
  return apply(x, weight, bias, quantise_weight(weight, format, scale_type), inputs, rounded);
}

}  // namespace hone::kernels
