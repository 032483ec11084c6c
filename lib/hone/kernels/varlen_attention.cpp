#include "hone/kernels/varlen_attention.h"

#include <torch/types.h>

#include <algorithm>

namespace hone::kernels {
namespace {

/// x [B, L, H, ...] -> [B, H, L, width], filled with zeros.
at::Tensor widened(const at::Tensor& x, int64_t width) {
  const at::Tensor heads = x.transpose(1, 2);
  return x.size(3) == width ? heads : at::constant_pad_nd(heads, {0, width - x.size(3)});
}

/// q [B, L, H, E]; k [B, L, K, E]; v [B, L, K, F] -> [B, L, H, F].
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                  double dropout_p) {
  const int64_t width = std::max(q.size(3), v.size(3));
  return at::scaled_dot_product_attention(widened(q, width), widened(k, width), widened(v, width),
                                          {}, dropout_p, /*is_causal=*/true, scale,
                                          /*enable_gqa=*/q.size(2) != k.size(2))
      .slice(-1, 0, v.size(3))
      .transpose(1, 2);
}

}  // namespace

at::Tensor varlen_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const Sequences& segments, double scale, double dropout_p) {
  const int64_t tokens = segments.tokens();
  TORCH_CHECK_VALUE(q.dim() == 3 && q.size(0) == tokens,
                    "varlen_attention: q must be [T, H, E] with T = ", tokens, ", got ", q.sizes());
  TORCH_CHECK_VALUE(
      k.dim() == 3 && k.size(0) == tokens && k.size(2) == q.size(2) && q.size(1) % k.size(1) == 0,
      "varlen_attention: k must be [T, K, E] with K dividing H; q is ", q.sizes(), ", k is ",
      k.sizes());
  TORCH_CHECK_VALUE(v.dim() == 3 && v.sizes().slice(0, 2) == k.sizes().slice(0, 2),
                    "varlen_attention: v must be [T, K, F] with T and K of k, ", k.sizes(),
                    ", got ", v.sizes());
  if (segments.to_grid.defined()) {
    const auto grid = [&](const at::Tensor& x) {
      return x.index_select(0, segments.to_grid)
          .view({segments.documents(), segments.max_length, x.size(1), x.size(2)});
    };
    return attend(grid(q), grid(k), grid(v), scale, dropout_p)
        .reshape({-1, q.size(1), v.size(2)})
        .index_select(0, segments.from_grid);
  }
  std::vector<at::Tensor> outputs;
  for (int64_t d = 0; d < segments.documents(); ++d) {
    const auto rows = [&](const at::Tensor& x) {
      return x.slice(0, segments.offsets[d], segments.offsets[d + 1]).unsqueeze(0);
    };
    outputs.push_back(attend(rows(q), rows(k), rows(v), scale, dropout_p).squeeze(0));
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs);
}

}  // namespace hone::kernels
