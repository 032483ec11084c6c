#include "hone/kernels/cached_attention.h"

#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "hone/kernels/detail/dot.h"
#include "hone/kernels/rows.h"
#include "hone/kernels/varlen_attention.h"
#include "hone/machine/parallel.h"

// Legend: D documents, T new positions, R rows and S positions of the cache, L positions attended
// to, H query and K key heads, G = H / K, E head width.
namespace hone::kernels {
namespace {

template <class T>
void softmax_row(T* x, int64_t count) {
  const T largest = reduce_row<T>(
      count, x[0], [&](int64_t i) { return x[i]; }, [](T a, T b) { return a > b ? a : b; });
  for (int64_t i = 0; i < count; ++i) x[i] = exponential(x[i] - largest);
  const T factor = 1 / sum_row<T>(count, [&](int64_t i) { return x[i]; });
  for (int64_t i = 0; i < count; ++i) x[i] *= factor;
}

/// G queries that share a key head, over its first `length` positions, `stride` numbers apart.
/// q, out [G, E]; scores [G, length] is working space.
template <class T>
void attend_head(const T* q, const T* keys, const T* values, int64_t group, int64_t width,
                 int64_t length, int64_t stride, T scale, T* scores, T* __restrict out) {
  for (int64_t s = 0; s < length; ++s) {
    for (int64_t g = 0; g < group; ++g) {
      scores[g * length + s] = scale * detail::dot(q + g * width, keys + s * stride, width);
    }
  }
  for (int64_t g = 0; g < group; ++g) softmax_row(scores + g * length, length);
  std::fill_n(out, group * width, T(0));
  for (int64_t s = 0; s < length; ++s) {
    const T* value = values + s * stride;
    for (int64_t g = 0; g < group; ++g) {
      const T weight = scores[g * length + s];
      for (int64_t e = 0; e < width; ++e) out[g * width + e] += weight * value[e];
    }
  }
}

template <class T>
void attend_rows(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                 const CachePlaces& places, double scale, at::Tensor& out) {
  const int64_t documents = q.size(0), width = q.size(2), heads = keys.size(2);
  const int64_t group = q.size(1) / heads, stride = heads * width, row = keys.size(1) * stride;
  const T *q_data = read<T>(q), *key_data = read<T>(keys), *value_data = read<T>(values);
  T* out_data = out.mutable_data_ptr<T>();
  machine::parallel_for(documents * heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> scores;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t d = task / heads, length = places.past[d] + 1;
      const int64_t base = (places.first_row + d) * row + task % heads * width;
      scores.resize(group * length);
      attend_head(q_data + task * group * width, key_data + base, value_data + base, group, width,
                  length, stride, static_cast<T>(scale), scores.data(),
                  out_data + task * group * width);
    }
  });
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
      .reshape(q.sizes());
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
  const auto write = [&](at::Tensor& cache, const at::Tensor& rows) {
    cache.view({-1, cache.size(2), cache.size(3)}).index_copy_(0, places.slots, rows);
  };
  write(keys, k);
  write(values, v);
  if (std::all_of(places.past.begin(), places.past.end(), [](int64_t n) { return n == 0; })) {
    return varlen_attention(q, k, v, segments, scale);
  }
  if (segments.max_length > 1) {
    return attend_documents(q, keys, values, segments, places, scale);
  }
  const at::Tensor packed = q.contiguous();
  if (!has_fused_path(q)) return attend_grid(packed, keys, values, places, scale);
  at::Tensor out = at::empty_like(packed);
  AT_DISPATCH_FLOATING_TYPES(q.scalar_type(), "cached_attention", [&] {
    attend_rows<scalar_t>(packed, keys, values, places, scale, out);
  });
  return out;
}

}  // namespace hone::kernels
