/// Query and key projections of layers made comparable, and the best pair for several of them.
///
/// With rotary positions a head's score of positions m and n is
///   sum_f Re[(q_f x_m) conj(k_f x_n) e^(j w_f (m - n))],
/// where q_f = row f + j row (f + E/2) of the head, k_f likewise. It stays the same under
/// q_f <- a q_f, k_f <- k_f / conj(a) for any complex a of each frequency: a gauge. Layers that
/// were trained apart lie in different ones, so that the mean of their weights is of no use; the
/// products q_f^T conj(k_f) do not depend on it, and are what is compared and averaged here.
/// Source: reference/distributed.md 10, ours; that heads of layers must be matched first: LiSA (Mu
/// et al. 2024, arXiv 2408.01890).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace hone::model {

/// A layer's q_proj and k_proj, float64 on the CPU. A bias is one more column, so that D is one
/// more. H is a multiple of K, consecutive H / K query heads have one key head.
struct HeadRows {
  at::Tensor q;  ///< [H, E, D]
  at::Tensor k;  ///< [K, E, D]
};

/// [H], [K]: which of a layer's heads take the places of another's.
struct HeadMatch {
  std::vector<int64_t> q, k;
};

/// The order of `layer`'s heads in which its products are nearest those of `reference`, in the sum
/// of squared differences: key heads one to one, and the query heads of each (Hungarian method).
HeadMatch match_heads(const HeadRows& reference, const HeadRows& layer);

/// Those rows in this order.
HeadRows reordered(const HeadRows& rows, const HeadMatch& match);

/// The one pair whose product is nearest the mean of the layers' for each key head and frequency:
/// its largest singular vectors, with q as much larger than k as in the layers. Exact, to rounding,
/// where the layers are one in different gauges.
HeadRows shared_rows(const std::vector<HeadRows>& layers);

/// RMS norm weights of a layer's query and key heads, [E] float64 each.
struct HeadNorms {
  at::Tensor q, k;
};

/// For heads that are normed before the rotation, which leaves of a gauge a phase of each
/// frequency, or a sign where the norm's weights of its two rows differ: the mean of the layers
/// after each was turned towards the first.
HeadRows shared_normed_rows(const std::vector<HeadRows>& layers,
                            const std::vector<HeadNorms>& norms);

/// The plain mean.
HeadRows mean_rows(const std::vector<HeadRows>& layers);

/// How far the products of b are from those of a, as a share of a's: Frobenius norms over all heads
/// and frequencies.
double product_error(const HeadRows& a, const HeadRows& b);

}  // namespace hone::model
