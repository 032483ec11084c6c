#include "hone/kernels/cached_attention.h"

#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "hone/kernels/cpu/cached_attention.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/varlen_attention.h"

// Legend: D documents, T new positions, R rows and S positions of the cache, L positions attended
// to, H query and K key heads, G = H / K, E head width.
namespace hone::kernels {
namespace {

/// One new position a document, each row of the cache read in place.
at::Tensor attend_rows(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                       const CachePlaces& places, double scale) {
  const int64_t heads = keys.size(2);
  at::Tensor out = at::empty({q.size(0), q.size(1), values.size(3)}, q.options());
  AT_DISPATCH_FLOATING_TYPES(q.scalar_type(), "cached_attention", [&] {
    run_rows(CachedAttentionRows<scalar_t>{.heads = heads,
                                           .group = q.size(1) / heads,
                                           .width = q.size(2),
                                           .value_width = values.size(3),
                                           .capacity = keys.size(1),
                                           .first_row = places.first_row,
                                           .past = places.past.data(),
                                           .scale = static_cast<scalar_t>(scale),
                                           .q = read<scalar_t>(q),
                                           .keys = read<scalar_t>(keys),
                                           .values = read<scalar_t>(values),
                                           .out = out.mutable_data_ptr<scalar_t>()},
             q.size(0) * heads, 1);
  });
  return out;
}

/// One new position a document, all rows up to the longest under a mask. The G queries of a key
/// head are laid out as G positions, so that no key is repeated.
at::Tensor attend_grid(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                       const CachePlaces& places, double scale) {
  const int64_t documents = q.size(0), heads = keys.size(2);
  const int64_t longest = *std::max_element(places.past.begin(), places.past.end()) + 1;
  const auto rows = [&](const at::Tensor& cache) {  // [D, K, L, E]
    return cache.slice(0, places.first_row, places.first_row + documents)
        .slice(1, 0, longest)
        .transpose(1, 2);
  };
  const at::Tensor seen =
      at::arange(longest, places.lengths.options()).lt(places.lengths.unsqueeze(1));
  return at::scaled_dot_product_attention(q.view({documents, heads, -1, q.size(2)}), rows(keys),
                                          rows(values), seen.view({documents, 1, 1, longest}), 0,
                                          /*is_causal=*/false, scale)
      .reshape({documents, q.size(1), -1});
}

/// Several new positions behind a past, document by document.
at::Tensor attend_documents(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const Sequences& segments, const CachePlaces& places, double scale) {
  std::vector<at::Tensor> outputs;
  for (int64_t d = 0; d < segments.documents(); ++d) {
    const at::Tensor own = q.slice(0, segments.offsets[d], segments.offsets[d + 1]);
    const int64_t length = places.past[d] + own.size(0);
    const auto row = [&](const at::Tensor& cache) {  // [1, K, L, E]
      return cache.select(0, places.first_row + d).slice(0, 0, length).transpose(0, 1).unsqueeze(0);
    };
    const at::Tensor seen =
        at::ones({own.size(0), length}, q.options().dtype(at::kBool)).tril(places.past[d]);
    outputs.push_back(at::scaled_dot_product_attention(own.transpose(0, 1).unsqueeze(0), row(keys),
                                                       row(values), seen, 0, /*is_causal=*/false,
                                                       scale,
                                                       /*enable_gqa=*/q.size(1) != keys.size(2))
                          .squeeze(0)
                          .transpose(0, 1));
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs);
}

}  // namespace

at::Tensor cached_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const Sequences& segments, const CachePlaces& places, at::Tensor keys,
                            at::Tensor values, double scale) {
  const auto documents = static_cast<int64_t>(places.past.size());
  TORCH_CHECK_VALUE(
      keys.dim() == 4 && keys.is_contiguous() && keys.sizes() == values.sizes() &&
          values.is_contiguous() && keys.scalar_type() == q.scalar_type() &&
          values.scalar_type() == q.scalar_type(),
      "cached_attention: keys and values must be contiguous [R, S, K, E] of q's dtype ",
      q.scalar_type(), ", got ", keys.scalar_type(), " ", keys.sizes(), " and ",
      values.scalar_type(), " ", values.sizes());
  TORCH_CHECK_VALUE(k.dim() == 3 && k.size(1) == keys.size(2) && k.size(2) == keys.size(3) &&
                        v.sizes() == k.sizes(),
                    "cached_attention: k and v must be [T, K, E] with K and E of the cache ",
                    keys.sizes(), ", got ", k.sizes(), " and ", v.sizes());
  TORCH_CHECK_VALUE(q.dim() == 3 && q.size(0) == k.size(0) && q.size(1) % k.size(1) == 0 &&
                        q.size(2) == k.size(2),
                    "cached_attention: q must be [T, H, E] with K dividing H; q is ", q.sizes(),
                    ", k is ", k.sizes());
  TORCH_CHECK_VALUE(documents == segments.documents() && segments.tokens() == q.size(0) &&
                        places.slots.numel() == q.size(0),
                    "cached_attention: places and segments must be of the T = ", q.size(0),
                    " positions of q");
  write_cache(keys, k, places);
  write_cache(values, v, places);
  return all_begin(places) ? varlen_attention(q, k, v, segments, scale)
                           : attend_cache(q, keys, values, segments, places, scale);
}

bool all_begin(const CachePlaces& places) {
  return std::all_of(places.past.begin(), places.past.end(), [](int64_t n) { return n == 0; });
}

void write_cache(at::Tensor cache, const at::Tensor& x, const CachePlaces& places) {
  cache.view({-1, cache.size(2), cache.size(3)}).index_copy_(0, places.slots, x);
}

at::Tensor attend_cache(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                        const Sequences& segments, const CachePlaces& places, double scale) {
  TORCH_CHECK_VALUE(values.strides() == keys.strides() && values.size(3) <= keys.size(3),
                    "attend_cache: values must be laid out as the keys are, ", keys.sizes(),
                    ", got ", values.sizes());
  if (segments.max_length > 1) {
    return attend_documents(q, keys, values, segments, places, scale);
  }
  const at::Tensor packed = q.contiguous();
  return dispatch(
      {q}, [&] { return attend_rows(packed, keys, values, places, scale); },
      [&] { return attend_grid(packed, keys, values, places, scale); });
}

}  // namespace hone::kernels
