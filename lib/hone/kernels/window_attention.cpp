#include "hone/kernels/window_attention.h"

#include <torch/types.h>

#include <algorithm>
#include <vector>

// Legend: L queries, P positions, C entries, H heads, E their width; b queries of one block.
namespace hone::kernels {
namespace {

constexpr int64_t kLeastBlock = 64;  // queries: fewer would not fill a product

void check(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& sinks,
           const WindowOptions& o, const at::Tensor& entries, const at::Tensor& chosen) {
  TORCH_CHECK_VALUE(q.dim() == 3 && kv.dim() == 2 && kv.size(1) == q.size(2) &&
                        kv.size(0) >= q.size(0) && q.size(0) > 0,
                    "window_attention: kv must be [P, E] with L <= P for q [L, H, E]; q is ",
                    q.sizes(), ", kv is ", kv.sizes());
  TORCH_CHECK_VALUE(sinks.dim() == 1 && sinks.size(0) == q.size(1),
                    "window_attention: sinks must be [H] = [", q.size(1), "], got ", sinks.sizes());
  TORCH_CHECK_VALUE(o.window > 0 && o.ratio >= 0,
                    "window_attention: window must be positive and ratio not negative, got ",
                    o.window, " and ", o.ratio);
  const int64_t complete = o.ratio > 0 ? kv.size(0) / o.ratio : 0;
  const bool right = entries.defined() ? entries.dim() == 2 && entries.size(0) == complete &&
                                             entries.size(1) == q.size(2)
                                       : complete == 0;
  TORCH_CHECK_VALUE(right, "window_attention: entries must be [C, E] = [", complete, ", ",
                    q.size(2), "], got ", entries.defined() ? entries.sizes() : at::IntArrayRef());
  TORCH_CHECK_VALUE(!chosen.defined() || (chosen.sizes() == at::IntArrayRef{q.size(0), complete} &&
                                          chosen.scalar_type() == at::kBool),
                    "window_attention: chosen must be bool [L, C] = [", q.size(0), ", ", complete,
                    "], got ", chosen.defined() ? chosen.sizes() : at::IntArrayRef());
}

/// Rows [S, E] and the sink's behind them, each with a number that is 1 in the sink's: [S + 1, E +
/// 1].
at::Tensor with_sink(std::vector<at::Tensor> rows) {
  rows.push_back(at::zeros({1, rows[0].size(1)}, rows[0].options()));
  const at::Tensor keys = at::cat(rows);
  const int64_t sink = keys.size(0) - 1;
  const at::Tensor mark = at::arange(keys.size(0), keys.options().dtype(at::kLong)).eq(sink);
  return at::cat({keys, mark.to(keys.scalar_type()).unsqueeze(1)}, 1);
}

}  // namespace

at::Tensor complete_entries(const at::Tensor& places, int64_t count, int64_t ratio) {
  const at::Tensor ends = (at::arange(count, places.options()) + 1) * ratio;
  return ends.le(places.unsqueeze(1) + 1);
}

at::Tensor window_attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& sinks,
                            const WindowOptions& options, const at::Tensor& entries,
                            const at::Tensor& chosen) {
  const WindowOptions& o = options;
  check(q, kv, sinks, o, entries, chosen);
  const int64_t length = q.size(0), heads = q.size(1), width = q.size(2);
  const int64_t past = kv.size(0) - length;
  const at::Tensor logits = (sinks / o.scale).to(q.scalar_type()).view({1, heads, 1});
  const at::Tensor queries = at::cat({q, logits.expand({length, heads, 1})}, 2);
  const at::Tensor places = at::arange(kv.size(0), q.options().dtype(at::kLong));
  std::vector<at::Tensor> outputs;
  const int64_t block = std::max(o.window, kLeastBlock);
  for (int64_t begin = 0; begin < length; begin += block) {
    const int64_t end = std::min(begin + block, length);
    const int64_t first = std::max<int64_t>(0, past + begin - o.window + 1);
    const at::Tensor own = places.slice(0, past + begin, past + end);
    const at::Tensor near = places.slice(0, first, past + end);
    std::vector<at::Tensor> rows = {kv.slice(0, first, past + end)};
    const at::Tensor behind = own.unsqueeze(1) - near;
    std::vector<at::Tensor> seen = {behind.ge(0).logical_and_(behind.lt(o.window))};
    if (const int64_t count = o.ratio > 0 ? (past + end) / o.ratio : 0; count > 0) {
      rows.push_back(entries.slice(0, 0, count));
      const at::Tensor complete = complete_entries(own, count, o.ratio);
      seen.push_back(chosen.defined()
                         ? complete.logical_and(chosen.slice(0, begin, end).slice(1, 0, count))
                         : complete);
    }
    seen.push_back(at::ones({end - begin, 1}, seen[0].options()));
    const at::Tensor keys = with_sink(std::move(rows)).expand({1, heads, -1, -1});
    outputs.push_back(
        at::scaled_dot_product_attention(queries.slice(0, begin, end).transpose(0, 1).unsqueeze(0),
                                         keys, keys, at::cat(seen, 1), o.dropout,
                                         /*is_causal=*/false, o.scale)
            .squeeze(0)
            .slice(2, 0, width)
            .transpose(0, 1));
  }
  return outputs.size() == 1 ? outputs[0] : at::cat(outputs);
}

}  // namespace hone::kernels
