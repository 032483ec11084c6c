#include "hone/model/smoothing.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <map>
#include <set>
#include <utility>

#include "hone/core/error.h"
#include "hone/model/checkpoint.h"
#include "hone/model/quantised_layers.h"
#include "hone/nn/attention.h"
#include "hone/nn/latent_attention.h"
#include "hone/nn/linear.h"
#include "hone/nn/mlp.h"
#include "hone/nn/moe.h"
#include "hone/nn/norm.h"

namespace hone::model {
namespace {

/// Smallest and largest input of each channel [in].
struct Range {
  at::Tensor least, most;

  void see(const at::Tensor& x) {
    if (x.size(0) == 0) return;
    const at::Tensor low = std::get<0>(x.min(0)).to(at::kFloat);
    const at::Tensor high = std::get<0>(x.max(0)).to(at::kFloat);
    least = least.defined() ? at::minimum(least, low) : low;
    most = most.defined() ? at::maximum(most, high) : high;
  }
  /// [in]; undefined where nothing passed.
  at::Tensor width() const { return least.defined() ? most - least : at::Tensor(); }
};

using Ranges = std::map<const nn::LinearImpl*, Range>;

Ranges measure(const Decoder& decoder, const Passes& passes) {
  Ranges ranges;
  const std::vector<NamedLinear> linears = block_linears(*decoder);
  for (const NamedLinear& linear : linears) {
    linear.layer->watch = [&range = ranges[linear.layer]](const at::Tensor& x) { range.see(x); };
  }
  passes();
  for (const NamedLinear& linear : linears) linear.layer->watch = nullptr;
  return ranges;
}

class Smoother {
 public:
  Smoother(const Ranges& ranges, double alpha) : ranges_(ranges), alpha_(alpha) {}

  /// Layers that read what a norm gives, and nothing else does.
  void after(nn::NormImpl* any, const std::vector<nn::Linear>& readers) {
    auto* norm = dynamic_cast<nn::RmsNormImpl*>(any);
    if (!norm) return;
    const at::Tensor s = scales(readers);
    if (s.defined()) scale(norm->weight, 1 / s, readers, s);
  }
  /// down_proj reads silu(gate) * up.
  void inside(nn::MlpImpl& mlp) {
    const at::Tensor s = scales({mlp.down_proj});
    if (s.defined()) scale_rows(mlp.up_proj, 1 / s, mlp.down_proj, s);
  }
  /// o_proj reads sums of values, whose heads may be shared.
  void inside(nn::AttentionImpl& attention) {
    const auto& o = attention.options;
    std::vector<int64_t> map = o.kv_head_of;
    for (int64_t h = 0; map.empty() || std::ssize(map) < o.num_heads; ++h) {
      map.push_back(h / (o.num_heads / o.num_kv_heads));
    }
    const at::Tensor width = ranges_.at(attention.o_proj.get()).width();
    if (!width.defined()) return;
    // Of rows [H E] by head the largest by key head [K, E].
    const auto shared = [&](const at::Tensor& channels) {
      const at::Tensor rows = channels.view({o.num_heads, o.head_dim});
      at::Tensor most = at::zeros({o.num_kv_heads, o.head_dim}, rows.options());
      for (int64_t h = 0; h < o.num_heads; ++h) most[map[h]] = at::maximum(most[map[h]], rows[h]);
      return most;
    };
    const at::Tensor s = factor(shared(width), shared(largest({attention.o_proj})));
    scale_rows(attention.v_proj, (1 / s).flatten(), attention.o_proj,
               s.index_select(0, torch::tensor(map, at::kLong).to(s.device())).flatten());
  }

  int64_t folds() const { return folds_; }
  bool changed(const nn::LinearImpl* layer) const { return changed_.contains(layer); }

 private:
  /// Of each column of the layers, the largest magnitude [in].
  static at::Tensor largest(const std::vector<nn::Linear>& layers) {
    at::Tensor most;
    for (const nn::Linear& layer : layers) {
      const at::Tensor own = std::get<0>(layer->weight.abs().max(0)).to(at::kFloat);
      most = most.defined() ? at::maximum(most, own) : own;
    }
    return most;
  }
  at::Tensor factor(const at::Tensor& width, const at::Tensor& weights) const {
    constexpr double kLeast = 1e-5;
    const at::Tensor s = (width.pow(alpha_) / (2 * weights).pow(1 - alpha_)).clamp_min(kLeast);
    return at::where(width.gt(0).logical_and(weights.gt(0)), s, at::ones_like(s));
  }
  at::Tensor scales(const std::vector<nn::Linear>& readers) const {
    const at::Tensor width = ranges_.at(readers.front().get()).width();
    return width.defined() ? factor(width, largest(readers)) : width;
  }
  /// `from`: a norm's weight, or rows.
  void scale(at::Tensor from, const at::Tensor& by, const std::vector<nn::Linear>& readers,
             const at::Tensor& s) {
    from.mul_((from.dim() == 2 ? by.unsqueeze(1) : by).to(from.scalar_type()));
    for (const nn::Linear& reader : readers) {
      reader->weight.mul_(s.to(reader->weight.scalar_type()));
      changed_.insert(reader.get());
    }
    ++folds_;
  }
  void scale_rows(const nn::Linear& from, const at::Tensor& by, const nn::Linear& reader,
                  const at::Tensor& s) {
    if (from->bias.defined()) from->bias.mul_(by.to(from->bias.scalar_type()));
    scale(from->weight, by, {reader}, s);
  }

  const Ranges& ranges_;
  const double alpha_;
  int64_t folds_ = 0;
  std::set<const nn::LinearImpl*> changed_;
};

void smooth_attention(Smoother& smoother, nn::NormImpl* norm, nn::MixerImpl* mixer) {
  if (auto* dense = dynamic_cast<nn::AttentionImpl*>(mixer)) {
    smoother.after(norm, {dense->q_proj, dense->k_proj, dense->v_proj});
    smoother.inside(*dense);
  } else if (auto* latent = dynamic_cast<nn::LatentAttentionImpl*>(mixer)) {
    smoother.after(
        norm, {latent->q_proj ? latent->q_proj : latent->q_a_proj, latent->kv_a_proj_with_mqa});
    if (latent->q_b_proj) smoother.after(latent->q_a_layernorm.get(), {latent->q_b_proj});
  }
}

void smooth_mlp(Smoother& smoother, nn::NormImpl* norm, nn::FeedForwardImpl* mlp) {
  if (auto* dense = dynamic_cast<nn::MlpImpl*>(mlp)) {
    smoother.after(norm, {dense->gate_proj, dense->up_proj});
    smoother.inside(*dense);
  } else if (auto* moe = dynamic_cast<nn::MoeImpl*>(mlp)) {
    if (moe->shared_experts) smoother.inside(*moe->shared_experts);
  }
}

}  // namespace

Smoothed smooth(Decoder& decoder, double alpha, const Passes& passes) {
  if (has_adapter(decoder)) throw Error("a model that carries an adapter cannot be smoothed");
  if (decoder->config().quantised) throw Error("a model that holds integers cannot be smoothed");
  const torch::NoGradGuard no_grad;
  const Ranges ranges = measure(decoder, passes);
  Smoother smoother(ranges, alpha);
  for (nn::DecoderBlock& block : decoder->layers) {
    smooth_attention(smoother, block->input_layernorm.get(), block->self_attn.get());
    smooth_mlp(smoother, block->post_attention_layernorm.get(), block->mlp.get());
  }
  Smoothed result{.folds = smoother.folds()};
  for (const NamedLinear& linear : block_linears(*decoder)) {
    if (!smoother.changed(linear.layer)) result.left.push_back(linear.name);
  }
  return result;
}

}  // namespace hone::model
