#include "hone/nn/compressor.h"

#include <torch/types.h>

#include <limits>

#include "hone/kernels/cached_attention.h"
#include "hone/kernels/dispatch.h"
#include "hone/kernels/rms_norm.h"
#include "hone/kernels/rotary.h"

// Legend: N windows of R positions, of all documents; E width of an entry.
namespace hone::nn {
namespace {

/// Windows of one document that are computed in this pass.
struct Windows {
  int64_t lead = 0;  ///< 1: one goes ahead of them that is no more than their past
  int64_t begin = 0, end = 0;

  int64_t count() const { return lead + end - begin; }
};

Windows windows(const CompressorOptions& o, const PassDocument& document) {
  Windows w{.begin = document.past / o.ratio, .end = document.positions() / o.ratio};
  if (w.begin < w.end && w.begin > 0 && o.overlap) w.lead = 1;
  return w;
}

/// An entry's numbers to each of its positions in a cache.
int64_t slot_width(const CompressorOptions& o) { return (o.width + o.ratio - 1) / o.ratio; }

/// Entries [begin, end) of a row of the cache: a view [end - begin, E].
at::Tensor cached_entries(const at::Tensor& cache, int64_t row, int64_t begin, int64_t end,
                          const CompressorOptions& o) {
  const int64_t stride = o.ratio * slot_width(o);
  return cache.select(0, row)
      .view({-1})
      .slice(0, begin * stride, end * stride)
      .view({end - begin, stride})
      .slice(1, 0, o.width);
}

/// x [N, R, 2 E] -> [N, 2 R, E]: first halves of the window before, second halves of the own one.
at::Tensor overlapping(const at::Tensor& x, int64_t width) {
  const at::Tensor before = x.slice(2, 0, width);
  return at::cat(
      {at::cat({at::zeros_like(before.slice(0, 0, 1)), before.slice(0, 0, -1)}), x.slice(2, width)},
      1);
}

/// values, scores [N, R, c E] -> [N, E]: sums by the softmax over the positions of a window and,
/// with overlap, of the one before, but for windows number `begins` [documents] int64.
at::Tensor pooled(at::Tensor values, at::Tensor scores, const at::Tensor& begins,
                  const CompressorOptions& o) {
  if (o.overlap) {
    values = overlapping(values, o.width);
    scores = overlapping(scores, o.width);
    at::Tensor none =
        at::zeros({scores.size(0), scores.size(1), 1}, scores.options().dtype(at::kBool));
    none.slice(1, 0, o.ratio).index_fill_(0, begins, 1);
    scores = scores.masked_fill(none, -std::numeric_limits<double>::infinity());
  }
  return (values * scores.softmax(1).to(values.scalar_type())).sum(1);
}

}  // namespace

std::vector<PassDocument> pass_documents(const AttentionContext& context) {
  const std::vector<int64_t>& offsets = context.segments.offsets;
  std::vector<PassDocument> documents;
  for (int64_t d = 0; d < context.segments.documents(); ++d) {
    documents.push_back({.begin = offsets[d], .end = offsets[d + 1]});
    if (!context.cache) continue;
    documents.back().past = context.cache->places.past[d];
    documents.back().row = context.cache->places.first_row + d;
  }
  return documents;
}

std::vector<at::Tensor> Compression::entries(const at::Tensor& kv, const at::Tensor& gate,
                                             const Rotary& rotary, const AttentionContext& context,
                                             size_t first) const {
  const CompressorOptions& o = options;
  const LayerCache* cache = context.cache;
  at::Tensor values = kv, scores = gate;  // of all rows
  int64_t capacity = 0;                   // positions of a row of the cache
  if (cache) {
    const at::Tensor& kept = cache->tensors.at(first + 1);
    kernels::write_cache(kept, at::stack({kv, gate}, 1), cache->places);
    const at::Tensor flat = kept.flatten(0, 1);
    values = flat.select(1, 0);
    scores = flat.select(1, 1);
    capacity = kept.size(1);
  }
  const std::vector<PassDocument> documents = pass_documents(context);
  std::vector<int64_t> rows;               // of the windows' positions
  std::vector<int64_t> positions, begins;  // of the windows; those that are first of a document's
  std::vector<int64_t> counts;             // of each document's windows
  for (const PassDocument& document : documents) {
    const Windows w = windows(o, document);
    counts.push_back(w.count());
    if (w.count() == 0) continue;
    begins.push_back(std::ssize(positions));
    const int64_t row = cache ? document.row * capacity : document.begin;
    for (int64_t at = (w.begin - w.lead) * o.ratio; at < w.end * o.ratio; ++at) {
      rows.push_back(row + at);
      if (at % o.ratio == 0) positions.push_back(at);
    }
  }
  at::Tensor fresh = kv.new_empty({0, o.width});
  if (!rows.empty()) {
    const auto on_device = [&](const std::vector<int64_t>& numbers) {
      return torch::tensor(numbers, at::kLong).to(kv.device());
    };
    const at::Tensor index = on_device(rows);
    const auto by_window = [&](const at::Tensor& x) {
      return x.index_select(0, index).view({-1, o.ratio, o.given()});
    };
    const at::Tensor biased = (by_window(scores) + position_bias).to(kernels::wide_type(kv));
    const at::Tensor sums = pooled(by_window(values), biased, on_device(begins), o);
    const auto [cos, sin] = rotary.tables(on_device(positions), context.segments, kv.scalar_type());
    fresh = kernels::apply_rotary(kernels::rms_norm(sums, norm, o.norm_eps).unsqueeze(1), cos, sin,
                                  kernels::RotaryPairs::kAdjoining)
                .squeeze(1);
  }
  std::vector<at::Tensor> all = fresh.split_with_sizes(counts);
  for (size_t d = 0; cache && d < documents.size(); ++d) {
    const Windows w = windows(o, documents[d]);
    const at::Tensor& kept = cache->tensors.at(first);
    cached_entries(kept, documents[d].row, w.begin, w.end, o).copy_(all[d].slice(0, w.lead));
    all[d] = cached_entries(kept, documents[d].row, 0, w.end, o);
  }
  return all;
}

CacheShape Compression::cache_shape(const CompressorOptions& options) {
  return {{1, slot_width(options)}, {2, options.given()}};
}

CompressorImpl::CompressorImpl(const CompressorOptions& options,
                               const at::TensorOptions& tensor_options)
    : options(options) {
  const CompressorOptions& o = options;
  const LinearOptions sizes{o.dim, o.given()};
  kv_proj = register_module("kv_proj", Linear(sizes, tensor_options));
  gate_proj = register_module("gate_proj", Linear(sizes, tensor_options));
  position_bias =
      register_parameter("position_bias", at::empty({o.ratio, o.given()}, tensor_options));
  kv_norm = register_module("kv_norm", RmsNorm(o.width, o.norm_eps, tensor_options));
}

std::vector<at::Tensor> CompressorImpl::forward(const at::Tensor& x, const Rotary& rotary,
                                                const AttentionContext& context, size_t first) {
  return Compression{options, position_bias, kv_norm->weight}.entries(kv_proj(x), gate_proj(x),
                                                                      rotary, context, first);
}

std::vector<ModuleTensor> CompressorImpl::own_tensors() const {
  return {{.name = "position_bias", .tensor = position_bias, .start = 0}};
}

}  // namespace hone::nn
