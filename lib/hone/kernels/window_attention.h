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
/// Cost: queries go in blocks of at most a window (or 16), each with the keys that any of its
///   queries sees: less than 2 * window + C scores a query are computed, those of entries not
///   chosen too, and masked. Saved for the backward pass are the arguments alone (and dropout's
///   noise, a number a score): it computes a block's weights again.
/// Dropout draws from the default generator.
/// Throws: c10::ValueError naming the argument and its shape.
/// Source: DeepSeek-V4, section 2.3; the passes as in FlashAttention, Dao et al. 2022.
at::Tensor window_attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& sinks,
                            const WindowOptions& options, const at::Tensor& entries = {},
                            const at::Tensor& chosen = {});

/// Numbers that its buffers hold in the backward pass of a document of `positions`: weights of a
/// block, what becomes of them, and their gradients.
int64_t window_attention_buffers(int64_t heads, int64_t positions, const WindowOptions& options,
                                 bool cpu);

}  // namespace hone::kernels
