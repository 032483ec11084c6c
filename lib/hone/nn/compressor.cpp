#include "hone/nn/compressor.h"

#include <torch/types.h>

#include <limits>
#include <utility>

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
/// with overlap, of the one before, but for windows number `begins`.
at::Tensor pooled(at::Tensor values, at::Tensor scores, const std::vector<int64_t>& begins,
                  const CompressorOptions& o) {
  if (o.overlap) {
    values = overlapping(values, o.width);
    scores = overlapping(scores, o.width);
    at::Tensor none =
        at::zeros({scores.size(0), scores.size(1), 1}, scores.options().dtype(at::kBool));
    none.slice(1, 0, o.ratio).index_fill_(0, torch::tensor(begins, at::kLong).to(none.device()), 1);
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
  const std::vector<PassDocument> documents = pass_documents(context);
  if (cache) {
    kernels::write_cache(cache->tensors.at(first + 1), at::stack({kv, gate}, 1), cache->places);
  }
  std::vector<at::Tensor> values, scores;
  std::vector<int64_t> positions, begins;  // of the windows; those that are first of a document's
  for (const PassDocument& document : documents) {
    const Windows w = windows(o, document);
    if (w.count() == 0) continue;
    const int64_t from = (w.begin - w.lead) * o.ratio, to = w.end * o.ratio;
    const at::Tensor kept =
        cache ? cache->tensors[first + 1][document.row].slice(0, from, to) : at::Tensor();
    const auto rows = [&](const at::Tensor& own, int64_t which) {
      return (cache ? kept.select(1, which) : own.slice(0, document.begin, document.begin + to))
          .reshape({-1, o.ratio, o.given()});
    };
    values.push_back(rows(kv, 0));
    scores.push_back(rows(gate, 1));
    begins.push_back(std::ssize(positions));
    for (int64_t at = from; at < to; at += o.ratio) positions.push_back(at);
  }
  at::Tensor fresh = kv.new_empty({0, o.width});
  if (!positions.empty()) {
    const at::Tensor biased = (at::cat(scores) + position_bias).to(kernels::wide_type(kv));
    const at::Tensor normed =
        kernels::rms_norm(pooled(at::cat(values), biased, begins, o), norm, o.norm_eps);
    const at::Tensor places = torch::tensor(positions, at::kLong).to(kv.device());
    const auto [cos, sin] = rotary.tables(places, context.segments, kv.scalar_type());
    fresh = kernels::apply_rotary(normed.unsqueeze(1), cos, sin, kernels::RotaryPairs::kAdjoining)
                .squeeze(1);
  }
  std::vector<at::Tensor> all;
  int64_t begin = 0;
  for (const PassDocument& document : documents) {
    const Windows w = windows(o, document);
    all.push_back(fresh.slice(0, begin + w.lead, begin + w.count()));
    begin += w.count();
    if (!cache) continue;
    const at::Tensor& kept = cache->tensors.at(first);
    cached_entries(kept, document.row, w.begin, w.end, o).copy_(all.back());
    all.back() = cached_entries(kept, document.row, 0, w.end, o);
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
