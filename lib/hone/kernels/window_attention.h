/// Attention to a sliding window and to what stands for longer stretches of the past.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace hone::kernels {

struct WindowOptions {
  int64_t window = 0;  ///< positions that a query sees, its own the last of them
  int64_t ratio = 0;   ///< positions that an entry stands for; 0: there are no entries
  double scale = 1;    ///< of the scores
  double dropout = 0;  ///< of the attention weights
};

/// [L, count] bool: whether entry i, which stands for the positions from i * ratio to
/// (i + 1) * ratio - 1, is complete at each of `places` [L] int64.
at::Tensor complete_entries(const at::Tensor& places, int64_t count, int64_t ratio);

/// out[t, h] = sum_j p_j kv_j with p_j = exp(scale q[t, h] kv_j) / (exp(sinks[h]) + their sum),
/// over the window's positions and the entries that are complete at t.
///
/// One document, of which q has the last L positions of P. Shapes: q [L, H, E]; kv [P, E], keys and
///   values at once of all heads; sinks [H]; entries [C, E]; chosen [L, C] bool, true where a query
///   sees a complete entry, undefined for all of them; result [L, H, E]. Differentiable in q, kv,
///   sinks and entries.
/// Cost: queries go in blocks of a window, each with the keys that any of its queries sees, so that
///   no more than 2 * window + C scores a query are computed; entries not chosen are, and masked.
/// Throws: c10::ValueError naming the argument and its shape.
/// Source: DeepSeek-V4, section 2.3, by LibTorch's scaled_dot_product_attention: the sink is one
///   more key whose value is 0, and whose one number meets the sink's logit in q.
at::Tensor window_attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& sinks,
                            const WindowOptions& options, const at::Tensor& entries = {},
                            const at::Tensor& chosen = {});

}  // namespace hone::kernels
