/// Causal attention over positions whose keys and values were kept.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "hone/kernels/sequences.h"

namespace hone::kernels {

/// Where the D documents of one pass go in a cache of R rows by S positions: document d continues
/// row first_row + d, behind past[d] positions that it holds. Made once a pass for all layers.
struct CachePlaces {
  int64_t first_row = 0;
  std::vector<int64_t> past;  ///< [D]
  at::Tensor slots;           ///< [T] int64: row * S + position of each new position
  at::Tensor lengths;         ///< [D] int64 on the cache's device: past and new positions
};

/// Writes k and v into the cache and attends to each document's past and own positions:
///   out[t] = softmax(scale * q[t] keys[row, 0..p]) values[row, 0..p],  p the position of t.
///
/// Shapes: q [T, H, E]; k, v [T, K, E]; keys, values [R, S, K, E] contiguous, of q's dtype: key
///   heads are not repeated for the query heads that share them. Result [T, H, E].
/// Where no document has a past this is varlen_attention, to the bit. One new position a document
/// (T == D) is the fast case: on the CPU in float32 or float64 each row is read in place up to its
/// own length; elsewhere up to the longest, masked.
/// Gradient: none; call it without a graph.
/// Throws: c10::ValueError naming the argument and its shape.
at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const Sequences& segments, const CachePlaces& places, at::Tensor keys,
                            at::Tensor values, double scale);

/// Whether no document of the pass has a past: it can do without the cache.
bool all_begin(const CachePlaces& places);

/// Writes x [T, K, E] to where the new positions go in cache [R, S, K, E], contiguous.
void write_cache(at::Tensor cache, const at::Tensor& x, const CachePlaces& places);

/// The second half of cached_attention, over keys that were written: here values may also be of
/// another width F, as a view of the keys' first F numbers (latent attention keeps one tensor for
/// both). q [T, H, E] -> [T, H, F].
at::Tensor attend_cache(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                        const Sequences& segments, const CachePlaces& places, double scale);

}  // namespace hone::kernels
