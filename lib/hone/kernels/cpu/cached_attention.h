/// The loops of cached_attention, over pairs of a document and a key head.
#pragma once
#include <cstdint>

#include "hone/machine/isa.h"

namespace hone::kernels {

/// One new position a document: the `group` queries that share a key head, over the document's
/// past[d] kept positions and its own. Rows of the cache hold `capacity` positions.
template <class T>
struct CachedAttentionRows {
  int64_t heads, group, width, value_width, capacity, first_row;
  const int64_t* past;
  T scale;
  const T *q, *keys, *values;
  T* out;

  template <machine::Isa>
  void rows(int64_t begin, int64_t end) const;
};

}  // namespace hone::kernels
