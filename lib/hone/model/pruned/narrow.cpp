#include "hone/model/pruned/narrow.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <tuple>

#include "hone/core/error.h"
#include "hone/model/checkpoint.h"
#include "hone/model/family.h"
#include "hone/nn/attention.h"
#include "hone/nn/mlp.h"
#include "hone/nn/norm.h"

namespace hone::model {
namespace {

/// The parts of a dense block.
struct DenseBlock {
  explicit DenseBlock(nn::DecoderBlock block)  // a holder: it shares the block
      : attention(dynamic_cast<nn::AttentionImpl*>(block->self_attn.get())),
        mlp(dynamic_cast<nn::MlpImpl*>(block->mlp.get())),
        norms{dynamic_cast<nn::RmsNormImpl*>(block->input_layernorm.get()),
              dynamic_cast<nn::RmsNormImpl*>(block->post_attention_layernorm.get())} {}

  bool is_dense() const { return attention && mlp && norms[0] && norms[1]; }

  nn::AttentionImpl* attention;
  nn::MlpImpl* mlp;
  nn::RmsNormImpl* norms[2];
};

at::Tensor last_norm_weight(Decoder decoder) {
  return dynamic_cast<nn::RmsNormImpl&>(*decoder->norm).weight;
}

/// A decoder of that config.json like another in type and device.
PlainModel empty_like(const Decoder& decoder, Json config) {
  const DecoderConfig sizes = DecoderConfig::from_json(config, "the smaller model");
  return {make_decoder(sizes, decoder->device(), decoder->dtype()), std::move(config)};
}

at::Tensor wide(const at::Tensor& tensor) { return tensor.detach().to(at::kDouble); }

/// x / rms(x), [T, D] float32.
at::Tensor unit(const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kFloat);
  return wide * wide.square().mean(1, true).clamp_min(1e-30).rsqrt();
}

/// Measures what the norms' results must be scaled by: the least-squares fit, over positions, of
/// the narrow norm's result y / rms(y) to P^T x / rms(x), which is the mean of rms(y) / rms(x).
void measure_scales(const Decoder& decoder, const Passes& passes, ResidualBasis& basis) {
  const auto [wide_dim, narrow_dim] = std::pair(basis.directions.size(0), basis.directions.size(1));
  basis.scales.assign(2 * decoder->layers.size() + 1, 0);
  const at::Tensor directions = basis.directions.to(decoder->device(), at::kFloat);
  int64_t positions = 0;
  const ResidualWatch watch(decoder, [&](size_t place, const at::Tensor& x, const at::Tensor&) {
    if (place == 0) positions += x.size(0);
    const at::Tensor energy = at::matmul(unit(x), directions).square().sum(1);
    basis.scales[place] += energy.sqrt().sum(at::kDouble).item<double>();
  });
  passes();
  // |unit(x)| is sqrt(D).
  for (double& scale : basis.scales) {
    scale /= static_cast<double>(positions) * std::sqrt(static_cast<double>(narrow_dim));
  }
}

void check_width(const Decoder& decoder, int64_t width) {
  check_dense(decoder);
  const int64_t have = decoder->config().hidden_size;
  if (width < 1 || width > have) {
    throw Error(fmt::format("narrow: hidden_size {} cannot become {}", have, width));
  }
}

/// Fills the narrow model's tensors.
class Narrowing {
 public:
  Narrowing(const Decoder& decoder, const ResidualBasis& basis)
      : decoder_(decoder), basis_(basis), directions_(basis.directions.to(decoder->device())) {}

  void fill(Decoder& narrow, bool keep_tied) const {
    const torch::NoGradGuard no_grad;
    narrow->embed_tokens->weight.copy_(inner(decoder_->embed_tokens->weight));
    for (size_t i = 0; i < decoder_->layers.size(); ++i) {
      fill_block(DenseBlock(decoder_->layers[i]), DenseBlock(narrow->layers[i]), i);
    }
    fill_head(narrow, keep_tied);
  }

 private:
  /// W P, for what takes the stream in or, as a table, gives it.
  at::Tensor inner(const at::Tensor& weight) const { return at::matmul(wide(weight), directions_); }

  /// What takes in the result of a norm with this weight.
  void fill_inputs(const nn::Linear& from, const nn::Linear& to, const at::Tensor& norm) const {
    const at::Tensor weight = wide(from->weight);
    to->weight.copy_(at::matmul(basis_.channels ? weight : weight * wide(norm), directions_));
    if (from->bias.defined()) to->bias.copy_(from->bias);
  }

  void fill_outputs(const nn::Linear& from, const nn::Linear& to) const {
    to->weight.copy_(at::matmul(directions_.t(), wide(from->weight)));
    if (from->bias.defined()) to->bias.copy_(inner(from->bias));
  }

  void fill_norm(const at::Tensor& from, const at::Tensor& to, size_t place) const {
    const at::Tensor own = basis_.channels ? inner(from) : at::ones_like(to, at::kDouble);
    to.copy_(own * basis_.scales.at(place));
  }

  void fill_block(const DenseBlock& from, const DenseBlock& to, size_t i) const {
    for (size_t n = 0; n < 2; ++n) fill_norm(from.norms[n]->weight, to.norms[n]->weight, 2 * i + n);
    const nn::AttentionImpl &old = *from.attention, &now = *to.attention;
    for (const auto part :
         {&nn::AttentionImpl::q_proj, &nn::AttentionImpl::k_proj, &nn::AttentionImpl::v_proj}) {
      fill_inputs(old.*part, now.*part, from.norms[0]->weight);
    }
    fill_outputs(old.o_proj, now.o_proj);
    if (old.q_norm) {
      now.q_norm->weight.copy_(old.q_norm->weight);
      now.k_norm->weight.copy_(old.k_norm->weight);
    }
    for (const auto part : {&nn::MlpImpl::gate_proj, &nn::MlpImpl::up_proj}) {
      fill_inputs(from.mlp->*part, to.mlp->*part, from.norms[1]->weight);
    }
    fill_outputs(from.mlp->down_proj, to.mlp->down_proj);
  }

  void fill_head(Decoder& narrow, bool keep_tied) const {
    const at::Tensor norm = last_norm_weight(decoder_), now = last_norm_weight(narrow);
    fill_norm(norm, now, 2 * decoder_->layers.size());
    const at::Tensor head = wide(decoder_->lm_weight());
    const at::Tensor wanted = basis_.channels ? inner(head) : inner(head * wide(norm));
    if (narrow->lm_head) {
      narrow->lm_head->weight.copy_(wanted);
    } else if (keep_tied && !basis_.channels) {
      const at::Tensor have = inner(head);
      now.mul_((have * wanted).sum(0) / have.square().sum(0));
    }
  }

  const Decoder& decoder_;
  const ResidualBasis& basis_;
  at::Tensor directions_;
};

}  // namespace

void check_dense(const Decoder& decoder) {
  bool dense =
      decoder->norm->as<nn::RmsNormImpl>() && !decoder->hc_head && decoder->multi_token.empty();
  for (const nn::DecoderBlock& block : decoder->layers) {
    dense = dense && DenseBlock(block).is_dense() && !block->attn_hc;
  }
  if (!dense) {
    throw Error(
        fmt::format("students are cut from llama, qwen2 and qwen3, whose layers are grouped "
                    "attention and a gated MLP; the model is {}",
                    decoder->config().model_type.name));
  }
  if (has_adapter(decoder))
    throw Error("students are cut from whole models: merge the adapter first");
}

PlainModel plain_model(const Decoder& decoder, const Json& config) {
  check_dense(decoder);
  const std::vector<LayerSizes> layers = layer_sizes(decoder->config());
  const LayerSizes& first = layers.front();
  for (const LayerSizes& sizes : layers) {
    if (sizes.heads != first.heads || sizes.kv_heads != first.kv_heads ||
        sizes.channels != first.channels || !sizes.kv_head_of.empty()) {
      throw Error(
          fmt::format("a plain model has equal layers: layer {} has {} heads, {} key heads "
                      "and {} channels, layer {} {}, {} and {}",
                      first.index, first.heads, first.kv_heads, first.channels, sizes.index,
                      sizes.heads, sizes.kv_heads, sizes.channels));
    }
  }
  Json json = decoder_config_json(decoder, config);
  json.erase("hone_pruned");
  json["num_hidden_layers"] = layers.size();
  json["num_attention_heads"] = first.heads;
  json["num_key_value_heads"] = first.kv_heads;
  json["head_dim"] = decoder->config().head_dim;
  json["intermediate_size"] = first.channels;
  decoder->config().model_type->keep_layers(json, layer_numbers(decoder->config()),
                                            decoder->config());
  PlainModel plain = empty_like(decoder, std::move(json));
  const torch::NoGradGuard no_grad;
  const NamedTensors from = decoder->base_tensors();
  NamedTensors to = plain.decoder->base_tensors();
  for (size_t i = 0; i < from.size(); ++i) to.at(i).second.copy_(from[i].second);
  return plain;
}

ResidualBasis principal_basis(const Decoder& decoder, int64_t width, const Passes& passes) {
  check_width(decoder, width);
  const int64_t dim = decoder->config().hidden_size;
  at::Tensor moment =
      at::zeros({dim, dim}, at::TensorOptions(decoder->device()).dtype(at::kDouble));
  {
    const ResidualWatch watch(decoder, [&](size_t, const at::Tensor& x, const at::Tensor&) {
      const at::Tensor u = unit(x);
      moment += at::matmul(u.t(), u);
    });
    passes();
  }
  const at::Tensor vectors = std::get<1>(at::linalg_eigh(moment));  // ascending
  ResidualBasis basis{.directions = vectors.flip(1).slice(1, 0, width).contiguous()};
  measure_scales(decoder, passes, basis);
  return basis;
}

ResidualBasis strongest_channels_basis(const Decoder& decoder, int64_t width,
                                       const Passes& passes) {
  check_width(decoder, width);
  const int64_t dim = decoder->config().hidden_size;
  const auto options = at::TensorOptions(decoder->device()).dtype(at::kDouble);
  at::Tensor squares = at::zeros({dim}, options);
  {
    const ResidualWatch watch(decoder, [&](size_t, const at::Tensor&, const at::Tensor& normed) {
      squares += normed.to(at::kDouble).square().sum(0);
    });
    passes();
  }
  const at::Tensor kept = std::get<0>(std::get<1>(squares.topk(width)).sort());
  ResidualBasis basis{.directions = at::eye(dim, options).index_select(1, kept), .channels = true};
  measure_scales(decoder, passes, basis);
  return basis;
}

PlainModel narrow(const PlainModel& model, const ResidualBasis& basis, bool keep_tied) {
  check_dense(model.decoder);
  const DecoderConfig& old = model.decoder->config();
  TORCH_CHECK_VALUE(basis.directions.dim() == 2 && basis.directions.size(0) == old.hidden_size,
                    "narrow: directions must be [D, D'] with D = ", old.hidden_size, ", got ",
                    basis.directions.sizes());
  Json json = model.config;
  json["hidden_size"] = basis.directions.size(1);
  json["head_dim"] = old.head_dim;
  json["tie_word_embeddings"] = old.tie_word_embeddings && (basis.channels || keep_tied);
  PlainModel narrow = empty_like(model.decoder, std::move(json));
  Narrowing(model.decoder, basis).fill(narrow.decoder, keep_tied);
  return narrow;
}

}  // namespace hone::model
