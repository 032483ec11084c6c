#include "hone/nn/decoder_block.h"

#include <torch/types.h>

#include <optional>

#include "hone/nn/dense_block.h"
#include "hone/nn/detail/generators.h"
#include "hone/nn/norm.h"

namespace hone::nn {

namespace {

DecoderBlockParts dense_parts(const DecoderBlockOptions& options,
                              const at::TensorOptions& tensor_options) {
  const auto norm = [&] {
    return RmsNorm(options.attention.dim, options.norm_eps, tensor_options);
  };
  return {norm(), Attention(options.attention, tensor_options), norm(),
          Mlp(options.mlp, tensor_options)};
}

}  // namespace

DecoderBlockImpl::DecoderBlockImpl(int64_t dim, const DecoderBlockParts& parts) : dim_(dim) {
  input_layernorm = register_module("input_layernorm", parts.input_layernorm);
  self_attn = register_module("self_attn", parts.self_attn);
  post_attention_layernorm =
      register_module("post_attention_layernorm", parts.post_attention_layernorm);
  mlp = register_module("mlp", parts.mlp);
  if (!parts.attn_hc) return;
  attn_hc = register_module("attn_hc", parts.attn_hc);
  ffn_hc = register_module("ffn_hc", parts.ffn_hc);
}

DecoderBlockImpl::DecoderBlockImpl(const DecoderBlockOptions& options,
                                   const at::TensorOptions& tensor_options)
    : DecoderBlockImpl(options.attention.dim, dense_parts(options, tensor_options)) {}

at::Tensor DecoderBlockImpl::forward(const at::Tensor& x, const AttentionContext& context) {
  const bool off = gate && gate->alive() == 0;
  if (off && !gate->measuring()) return x;
  // Off, its dropout must draw nothing from what the others draw from: measuring changes no run.
  std::optional<detail::GeneratorStates> generators;
  if (off) generators.emplace(x.device());
  const auto drop = [this](const at::Tensor& branch) {
    return is_training() && branch_dropout > 0 ? at::dropout(branch, branch_dropout, true) : branch;
  };
  const auto attend = [&](const at::Tensor& in) {
    return drop(self_attn(input_layernorm(in), context));
  };
  const auto feed = [&](const at::Tensor& in) {
    return drop(mlp(post_attention_layernorm(in), context.ids));
  };
  const at::Tensor h = attn_hc ? attn_hc(x, attend) : x + attend(x);
  const at::Tensor y = ffn_hc ? ffn_hc(h, feed) : h + feed(h);
  if (off) generators->restore();
  return gate ? gate(y.flatten(1).unsqueeze(1), x.flatten(1).unsqueeze(1)).view_as(x) : y;
}

std::vector<Footprint> DecoderBlockImpl::footprints(const StepShape& step) const {
  std::vector<Footprint> branches = {self_attn->footprint(step), mlp->footprint(step)};
  const Norm norms[] = {input_layernorm, post_attention_layernorm};
  const HyperConnection connections[] = {attn_hc, ffn_hc};
  for (size_t i = 0; i < branches.size(); ++i) {
    Footprint& branch = branches[i];
    branch.saved += norms[i]->saved(dim_, step);
    branch.gradients += trained_numel(*norms[i]);
    if (connections[i]) {
      const Footprint connection = connections[i]->footprint(step);
      branch.saved += connection.saved;
      branch.backward += connection.backward;
      branch.gradients += connection.gradients;
    }
    if (branch_dropout == 0) continue;
    branch.saved += dim_;  // the noise, and what it makes of the gradient
    branch.backward += dim_;
  }
  return branches;
}

void DecoderBlockImpl::add_gate() { nn::add_gate(*this, gate, 1); }

}  // namespace hone::nn
