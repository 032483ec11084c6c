#include "hone/kernels/window_attention.h"

#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "hone/kernels/dispatch.h"

// Legend: L queries, P positions, C entries, H heads, E their width; b queries of one block, S keys
// that any of them sees.
namespace hone::kernels {
namespace {

/// Queries of a block: no more than the window is wide unless that is narrow, and so many that its
/// products have enough rows, one for each query and head, to fill the machine. On a CPU 1024 rows
/// took a third less time than 8192 (64 heads of 512 numbers, 512 positions, window 128, ratio 4).
int64_t block_length(int64_t heads, int64_t window, bool cpu) {
  constexpr int64_t kRows = 1 << 10, kDeviceRows = 1 << 14, kLeast = 16;
  return std::clamp<int64_t>((cpu ? kRows : kDeviceRows) / heads, 1, std::max(window, kLeast));
}

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

/// Queries [begin, end), which see positions [first, past + end) and the first `count` entries.
struct Block {
  int64_t begin, end, first, count;
};

struct Problem {
  at::Tensor q, kv, sinks, entries, chosen;
  WindowOptions options;

  int64_t past() const { return kv.size(0) - q.size(0); }

  std::vector<Block> blocks() const {
    const int64_t step = block_length(q.size(1), options.window, q.is_cpu());
    std::vector<Block> blocks;
    for (int64_t begin = 0; begin < q.size(0); begin += step) {
      const int64_t end = std::min(begin + step, q.size(0));
      blocks.push_back({begin, end, std::max<int64_t>(0, past() + begin - options.window + 1),
                        options.ratio > 0 ? (past() + end) / options.ratio : 0});
    }
    return blocks;
  }

  /// x [L, H, E] -> [b H, E], and back into it.
  static at::Tensor rows(const at::Tensor& x, const Block& block) {
    return x.slice(0, block.begin, block.end).reshape({-1, x.size(2)});
  }
  static void put(const at::Tensor& x, const at::Tensor& rows, const Block& block) {
    x.slice(0, block.begin, block.end).copy_(rows.view({-1, x.size(1), x.size(2)}));
  }
  at::Tensor near(const at::Tensor& x, const Block& block) const {
    return x.slice(0, block.first, past() + block.end);
  }
  static at::Tensor far(const at::Tensor& x, const Block& block) {
    return x.slice(0, 0, block.count);
  }

  /// x [b H, E] -> [b, H, S + 1]: its products with the keys, entries first, and `last` behind.
  at::Tensor products(const at::Tensor& x, const Block& block, const at::Tensor& last) const {
    std::vector<at::Tensor> parts;
    const auto add = [&](const at::Tensor& part) {
      parts.push_back(part.view({block.end - block.begin, q.size(1), part.size(1)}));
    };
    add(at::mm(x, far(entries, block).t()));
    add(at::mm(x, near(kv, block).t()));
    add(last.expand({block.end - block.begin, -1}).reshape({-1, 1}));
    return at::cat(parts, 2);
  }

  /// [b, 1, S + 1] bool: what a query does not see.
  at::Tensor hidden(const Block& block) const {
    const auto places = [&](int64_t begin, int64_t end) {
      return at::arange(begin, end, q.options().dtype(at::kLong));
    };
    const at::Tensor own = places(past() + block.begin, past() + block.end);
    const at::Tensor behind = own.unsqueeze(1) - places(block.first, past() + block.end);
    at::Tensor complete = complete_entries(own, block.count, options.ratio);
    if (chosen.defined()) {
      complete.logical_and_(chosen.slice(0, block.begin, block.end).slice(1, 0, block.count));
    }
    return at::cat({complete, behind.ge(0).logical_and_(behind.lt(options.window)),
                    at::ones({own.size(0), 1}, complete.options())},
                   1)
        .logical_not_()
        .unsqueeze(1);
  }

  /// [b, H, S + 1] softmax of the scores, the sinks' last.
  at::Tensor weights(const Block& block) const {
    return products(rows(q, block) * options.scale, block, sinks.to(q.scalar_type()))
        .masked_fill_(hidden(block), -std::numeric_limits<double>::infinity())
        .softmax(2, wide_type(q));
  }

  /// p [b, H, S + 1] times the keys, all but the sinks': [b H, E].
  at::Tensor sums(const at::Tensor& p, const Block& block) const {
    const at::Tensor flat = p.flatten(0, 1);
    return at::mm(flat.slice(1, block.count, -1), near(kv, block))
        .addmm_(flat.slice(1, 0, block.count), far(entries, block));
  }
};

class WindowAttention : public torch::autograd::Function<WindowAttention> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q,
                            const at::Tensor& kv, const at::Tensor& sinks,
                            const at::Tensor& entries, const std::optional<at::Tensor>& chosen,
                            const WindowOptions& options) {
    const Problem problem{q, kv, sinks, entries, chosen.value_or(at::Tensor()), options};
    std::vector<at::Tensor> saved = {q, kv, sinks, entries, problem.chosen};
    at::Tensor out = at::empty_like(q);
    for (const Block& block : problem.blocks()) {
      at::Tensor weights = problem.weights(block);
      if (options.dropout > 0) {
        const double kept = 1 - options.dropout;
        saved.push_back(at::empty_like(weights).bernoulli_(kept).div_(kept));
        weights.mul_(saved.back());
      }
      Problem::put(out, problem.sums(weights.to(q.scalar_type()), block), block);
    }
    context->save_for_backward(saved);
    context->saved_data["window"] = options.window;
    context->saved_data["ratio"] = options.ratio;
    context->saved_data["scale"] = options.scale;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    auto& data = context->saved_data;
    const Problem problem{saved[0],
                          saved[1],
                          saved[2],
                          saved[3],
                          saved[4],
                          {.window = data["window"].toInt(),
                           .ratio = data["ratio"].toInt(),
                           .scale = data["scale"].toDouble()}};
    const at::Tensor &q = problem.q, none = at::zeros_like(problem.sinks, q.options());
    const auto zeros = [](const at::Tensor& x) {
      return at::zeros(x.sizes(), x.options().dtype(wide_type(x)));
    };
    at::Tensor grad_q = at::empty_like(q), grad_sinks = zeros(problem.sinks);
    at::Tensor grad_kv = zeros(problem.kv), grad_entries = zeros(problem.entries);
    const std::vector<Block> blocks = problem.blocks();
    for (size_t i = 0; i < blocks.size(); ++i) {
      const Block& block = blocks[i];
      const at::Tensor weights = problem.weights(block), grad = Problem::rows(grads[0], block);
      at::Tensor grad_weights = problem.products(grad, block, none).to(weights.scalar_type());
      at::Tensor used = weights;
      if (saved.size() > 5) {
        grad_weights.mul_(saved[5 + i]);
        used = weights * saved[5 + i];
      }
      const at::Tensor grad_scores =
          at::_softmax_backward_data(grad_weights, weights, 2, weights.scalar_type());
      grad_sinks += grad_scores.select(2, -1).sum(0);
      const at::Tensor scaled = (grad_scores * problem.options.scale).to(q.scalar_type());
      Problem::put(grad_q, problem.sums(scaled, block), block);
      const at::Tensor rows = Problem::rows(q, block);
      const at::Tensor by_query = scaled.flatten(0, 1).t();
      const at::Tensor by_grad = used.to(q.scalar_type()).flatten(0, 1).t();
      const at::Tensor both = at::mm(by_query, rows).addmm_(by_grad, grad);
      Problem::far(grad_entries, block) += both.slice(0, 0, block.count);
      problem.near(grad_kv, block) += both.slice(0, block.count, -1);
    }
    return {grad_q,
            grad_kv.to(q.scalar_type()),
            grad_sinks.to(problem.sinks.scalar_type()),
            grad_entries.to(q.scalar_type()),
            {},
            {}};
  }
};

}  // namespace

at::Tensor complete_entries(const at::Tensor& places, int64_t count, int64_t ratio) {
  const at::Tensor ends = (at::arange(count, places.options()) + 1) * ratio;
  return ends.le(places.unsqueeze(1) + 1);
}

int64_t window_attention_buffers(int64_t heads, int64_t positions, const WindowOptions& options,
                                 bool cpu) {
  const int64_t length = std::min(positions, block_length(heads, options.window, cpu));
  const int64_t keys = std::min(positions, length + options.window) +
                       (options.ratio > 0 ? positions / options.ratio : 0);
  return 4 * length * heads * keys;
}

at::Tensor window_attention(const at::Tensor& q, const at::Tensor& kv, const at::Tensor& sinks,
                            const WindowOptions& options, const at::Tensor& entries,
                            const at::Tensor& chosen) {
  check(q, kv, sinks, options, entries, chosen);
  return WindowAttention::apply(q, kv, sinks,
                                entries.defined() ? entries : kv.new_empty({0, kv.size(1)}),
                                chosen.defined() ? std::optional(chosen) : std::nullopt, options);
}

}  // namespace hone::kernels
