#include "hone/model/sharing/conversion.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/model/sharing/gauge.h"
#include "hone/nn/attention.h"
#include "hone/nn/norm.h"

namespace hone::model {
namespace {

/// A block's attention and the norm before it.
struct Parts {
  nn::AttentionImpl& attention;
  nn::RmsNormImpl& norm;
};

Parts parts_of(nn::DecoderBlock& block) {
  auto* attention = dynamic_cast<nn::AttentionImpl*>(block->self_attn.get());
  auto* norm = dynamic_cast<nn::RmsNormImpl*>(block->input_layernorm.get());
  if (!attention || !norm || attention->q_proj->is_quantised()) {
    throw Error("only grouped-query attention, in floats, behind an RMS norm can share");
  }
  return {*attention, *norm};
}

at::Tensor wide(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, at::kDouble); }

/// [heads, E, D] of a projection, its bias as one more column.
at::Tensor head_rows(const nn::Linear& layer, int64_t head_dim) {
  at::Tensor rows = wide(layer->weight);
  if (layer->bias.defined()) rows = at::cat({rows, wide(layer->bias).unsqueeze(1)}, 1);
  return rows.unflatten(0, {-1, head_dim});
}

void set_rows(const nn::Linear& layer, const at::Tensor& heads) {
  const at::Tensor rows = heads.flatten(0, 1);
  layer->weight.copy_(rows.narrow(1, 0, layer->options.in));
  if (layer->bias.defined()) layer->bias.copy_(rows.select(1, layer->options.in));
}

HeadRows rows_of(const nn::AttentionImpl& attention) {
  const int64_t head_dim = attention.options.head_dim;
  return {head_rows(attention.q_proj, head_dim), head_rows(attention.k_proj, head_dim)};
}

HeadNorms norms_of(const nn::AttentionImpl& attention) {
  return {wide(attention.q_norm->weight), wide(attention.k_norm->weight)};
}

/// The rows as they enter the scores: behind their norms, which set each head's size.
HeadRows compared_rows(const nn::AttentionImpl& attention) {
  HeadRows rows = rows_of(attention);
  if (!attention.options.qk_norm) return rows;
  const HeadNorms norms = norms_of(attention);
  const auto normed = [](const at::Tensor& heads, const at::Tensor& weight) {
    return heads / heads.norm(2, {1, 2}, true).clamp_min(1e-300) * weight.unsqueeze(1);
  };
  return {normed(rows.q, norms.q), normed(rows.k, norms.k)};
}

/// Throws: hone::Error naming the layer if it cannot share.
void check_layer(Decoder& decoder, int64_t layer) {
  try {
    parts_of(decoder->layers[layer]);
  } catch (const Error& error) {
    throw Error(fmt::format("sharing: layer {}: {}", layer, error.what()));
  }
}

}  // namespace

void fold_input_norm(nn::DecoderBlock& block) {
  const torch::NoGradGuard no_grad;
  const auto [attention, norm] = parts_of(block);
  for (const nn::Linear& layer : {attention.q_proj, attention.k_proj, attention.v_proj}) {
    layer->weight.mul_(norm.weight);
  }
  norm.weight.fill_(1);
}

void order_heads(nn::DecoderBlock& block, nn::DecoderBlock& reference) {
  const torch::NoGradGuard no_grad;
  nn::AttentionImpl& attention = parts_of(block).attention;
  TORCH_CHECK_VALUE(attention.options.kv_head_of.empty(),
                    "order_heads: the key heads must have as many query heads each");
  const HeadMatch match =
      match_heads(compared_rows(parts_of(reference).attention), compared_rows(attention));
  const HeadRows rows = reordered(rows_of(attention), match);
  set_rows(attention.q_proj, rows.q);
  set_rows(attention.k_proj, rows.k);
  const int64_t head_dim = attention.options.head_dim;
  const auto ordered = [&](const at::Tensor& tensor, int64_t dim,
                           const std::vector<int64_t>& places) {
    return tensor.unflatten(dim, {-1, head_dim})
        .index_select(dim, torch::tensor(places, at::kLong).to(tensor.device()));
  };
  const at::Tensor out = attention.o_proj->weight;
  set_rows(attention.v_proj,
           ordered(head_rows(attention.v_proj, head_dim).flatten(0, 1), 0, match.k));
  out.copy_(ordered(out.detach(), 1, match.q).flatten(1));
}

void make_alike(Decoder& decoder, const std::vector<int64_t>& group, SharedStart start) {
  const torch::NoGradGuard no_grad;
  for (const int64_t layer : group) check_layer(decoder, layer);
  std::vector<HeadRows> rows;
  std::vector<HeadNorms> norms;
  for (const int64_t layer : group) {
    nn::DecoderBlock& block = decoder->layers[layer];
    fold_input_norm(block);
    if (layer != group[0]) order_heads(block, decoder->layers[group[0]]);
    const nn::AttentionImpl& attention = parts_of(block).attention;
    rows.push_back(rows_of(attention));
    if (attention.options.qk_norm) norms.push_back(norms_of(attention));
  }
  const HeadRows shared = start == SharedStart::kMean ? mean_rows(rows)
                          : norms.empty()             ? shared_rows(rows)
                                                      : shared_normed_rows(rows, norms);
  for (const int64_t layer : group) {
    const nn::AttentionImpl& attention = parts_of(decoder->layers[layer]).attention;
    set_rows(attention.q_proj, shared.q);
    set_rows(attention.k_proj, shared.k);
  }
}

void share_weights(Decoder& decoder, const LayerGroups& groups, SharedStart start) {
  const std::vector<std::string> problems = group_problems(groups, std::ssize(decoder->layers));
  if (!problems.empty()) throw Error("sharing: " + joined(problems));
  if (!decoder->config().sharing.empty()) throw Error("sharing: the model's layers share already");
  for (const std::vector<int64_t>& group : groups) make_alike(decoder, group, start);
  decoder->share_projections(groups);
}

}  // namespace hone::model
