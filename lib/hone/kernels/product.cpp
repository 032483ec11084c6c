#include "hone/kernels/product.h"

#include <ATen/native/CPUBlas.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>

#include "hone/kernels/cpu/product.h"
#include "hone/kernels/dispatch.h"

namespace hone::kernels {
namespace {

constexpr int64_t kLeastBytes = int64_t{1} << 20;  // of a weight that meets our loop for one row

std::atomic<ProductType> current_type = ProductType::kFloat32;

/// x [1, D] by weight [V, D].
at::Tensor one_row(const at::Tensor& x_any, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor x = x_any.contiguous();
  at::Tensor out = at::empty({1, weight.size(0)}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "project", [&] {
    run_rows(ProductOfOneRow<scalar_t>{.width = x.size(1),
                                       .x = read<scalar_t>(x),
                                       .weight = read<scalar_t>(weight),
                                       .out = out.mutable_data_ptr<scalar_t>()},
             weight.size(0), row_grain(x.size(1)));
  });
  if (bias.defined()) out.add_(bias);
  return out;
}

bool in_bfloat16(const at::Tensor& a, const at::Tensor& b) {
  const auto fits = [](const at::Tensor& x) {
    return x.is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 2 && x.numel() > 0;
  };
  return product_type() == ProductType::kBfloat16 && fits(a) && fits(b);
}

int64_t panels_of(int64_t lines) { return (lines + kPanel - 1) / kPanel; }

/// The operand [lines, depth] in PackPanels' layout.
at::Tensor packed(const at::Tensor& any, bool interleaved) {
  const at::Tensor x = any.stride(0) == 1 || any.stride(1) == 1 ? any : any.contiguous();
  const int64_t panels = panels_of(x.size(0));
  at::Tensor out = at::empty({panels * kPanel * padded_depth(x.size(1))}, at::kBFloat16);
  run_rows(PackPanels{.lines = x.size(0),
                      .depth = x.size(1),
                      .line_stride = x.stride(0),
                      .depth_stride = x.stride(1),
                      .interleaved = interleaved,
                      .from = read<float>(x),
                      .to = static_cast<uint32_t*>(out.mutable_data_ptr())},
           panels, 1);
  return out;
}

/// One panel of rows by one of columns, into tile [kPanel, kPanel]. ATen's brgemm is oneDNN's
/// micro-kernel, made once for each of its sizes: these are 16 at most, two of them a product.
void multiply_panels(const at::BFloat16* a, const at::BFloat16* b, int64_t depth, float* tile) {
  const int64_t padded = padded_depth(depth);
  for (int64_t term = 0; term < padded; term += kDepth) {
    const int64_t terms = std::min(kDepth, padded - term);
    at::native::cpublas::brgemm(kPanel, kPanel, terms, terms, kPanel, kPanel, term > 0,
                                a + kPanel * term, b + kPanel * term, tile, /*is_vnni=*/true);
  }
}

/// out = a b, or out += a b, by the CPU's bfloat16 instructions; out's rows adjoin.
void multiply(const at::Tensor& a, const at::Tensor& b, at::Tensor& out, bool adds) {
  const int64_t rows = a.size(0), depth = a.size(1), columns = b.size(1), stride = out.stride(0);
  const at::Tensor left = packed(a, false), right = packed(b.t(), true);
  const auto *left_data = read<at::BFloat16>(left), *right_data = read<at::BFloat16>(right);
  const int64_t down = panels_of(rows), panel = kPanel * padded_depth(depth);
  float* out_data = out.mutable_data_ptr<float>();
  machine::parallel_for(down * panels_of(columns), 1, [&](int64_t begin, int64_t end) {
    alignas(64) float tile[kPanel * kPanel];
    for (int64_t item = begin; item < end; ++item) {
      const int64_t i = item % down, j = item / down;
      multiply_panels(left_data + i * panel, right_data + j * panel, depth, tile);
      const int64_t width = std::min(kPanel, columns - j * kPanel);
      for (int64_t r = 0; r < std::min(kPanel, rows - i * kPanel); ++r) {
        float* to = out_data + (i * kPanel + r) * stride + j * kPanel;
        const float* from = tile + r * kPanel;
        for (int64_t c = 0; c < width; ++c) to[c] = adds ? to[c] + from[c] : from[c];
      }
    }
    at::native::cpublas::brgemm_release(/*is_vnni=*/true);
  });
}

void product_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool adds) {
  const bool rounds = in_bfloat16(a, b);
  TORCH_CHECK_VALUE(!rounds || a.size(1) == b.size(0), "product: a [M, K] and b [K, N] have sizes ",
                    a.sizes(), " and ", b.sizes());
  if (rounds && machine::multiplies_bfloat16() && out.stride(1) == 1) {
    return multiply(a, b, out, adds);
  }
  const auto operand = [&](const at::Tensor& x) {
    return rounds ? x.to(at::kBFloat16).to(at::kFloat) : x;
  };
  if (adds) {
    out.addmm_(operand(a), operand(b));
  } else {
    at::mm_out(out, operand(a), operand(b));
  }
}

class Bfloat16Linear : public torch::autograd::Function<Bfloat16Linear> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight) {
    // A frozen weight's layer need not keep x, nor the first layer its weight.
    context->save_for_backward(
        {weight.requires_grad() ? x : at::Tensor(), x.requires_grad() ? weight : at::Tensor()});
    return product(x, weight.t());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    at::Tensor grad_x, grad_weight;
    if (saved[1].defined()) grad_x = product(grads[0], saved[1]);
    if (saved[0].defined()) grad_weight = product(grads[0].t(), saved[0]);
    return {grad_x, grad_weight};
  }
};

}  // namespace

ProductType product_type() { return current_type.load(std::memory_order_relaxed); }

void set_product_type(ProductType type) { current_type = type; }

at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool one = !at::GradMode::is_enabled() && x.dim() == 2 && x.size(0) == 1 &&
                   weight.dim() == 2 && weight.size(1) == x.size(1) && weight.is_contiguous() &&
                   static_cast<int64_t>(weight.nbytes()) > kLeastBytes;
  const auto many = [&]() -> at::Tensor {
    if (!in_bfloat16(x, weight)) return at::linear(x, weight, bias);
    const at::Tensor y = Bfloat16Linear::apply(x, weight);
    return bias.defined() ? y + bias : y;
  };
  return one ? dispatch({x, weight}, [&] { return one_row(x, weight, bias); }, many) : many();
}

at::Tensor add_projection(const at::Tensor& base, const at::Tensor& x, const at::Tensor& weight,
                          double scale) {
  if (!in_bfloat16(x, weight)) return at::addmm(base, x, weight.t(), 1, scale);
  return at::add(base, Bfloat16Linear::apply(x, weight), scale);
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  product_out(out, a, b);
  return out;
}

void product_out(at::Tensor& out, const at::Tensor& a, const at::Tensor& b) {
  product_into(out, a, b, false);
}

void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  product_into(sum, a, b, true);
}

}  // namespace hone::kernels
