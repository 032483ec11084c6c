/// Small random decoders and batches for the tests of the model room.
#pragma once
#include <torch/types.h>

#include <vector>

#include "hone/kernels/linear_cross_entropy.h"
#include "hone/model/checkpoint.h"

namespace hone::model::test {

inline Json small_config(const char* model_type = "llama") {
  return {{"model_type", model_type},
          {"hidden_size", 32},
          {"intermediate_size", 48},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"vocab_size", 40},
          {"max_position_embeddings", 64}};
}

/// DeepSeek-V3, one dense layer and two with six experts.
inline Json v3_config() {
  Json config = small_config("deepseek_v3");
  config.update({{"q_lora_rank", 12},
                 {"kv_lora_rank", 16},
                 {"qk_nope_head_dim", 8},
                 {"qk_rope_head_dim", 4},
                 {"v_head_dim", 6},
                 {"n_routed_experts", 6},
                 {"num_experts_per_tok", 2},
                 {"n_shared_experts", 1},
                 {"moe_intermediate_size", 20},
                 {"first_k_dense_replace", 1},
                 {"routed_scaling_factor", 2.5},
                 {"n_group", 3},
                 {"topk_group", 2}});
  return config;
}

/// DeepSeek-V4, each kind of layer twice, the first two with experts by table.
inline Json v4_config() {
  Json config = small_config("deepseek_v4");
  config.erase("intermediate_size");
  config.update({{"num_hidden_layers", 6},
                 {"num_key_value_heads", 1},
                 {"head_dim", 12},
                 {"qk_rope_head_dim", 4},
                 {"q_lora_rank", 16},
                 {"o_groups", 2},
                 {"o_lora_rank", 10},
                 {"sliding_window", 3},
                 {"compress_ratios", {0, 4, 128, 4, 0, 128, 0}},
                 {"compress_rope_theta", 160000},
                 {"compress_rates", {{"heavily_compressed_attention", 5}}},
                 {"index_n_heads", 3},
                 {"index_head_dim", 6},
                 {"index_topk", 2},
                 {"n_routed_experts", 6},
                 {"num_experts_per_tok", 2},
                 {"moe_intermediate_size", 20},
                 {"num_hash_layers", 2},
                 {"routed_scaling_factor", 1.5},
                 {"swiglu_limit", 10},
                 {"hc_mult", 3},
                 {"hc_sinkhorn_iters", 4},
                 {"hc_eps", 1e-6},
                 {"num_nextn_predict_layers", 1}});
  return config;
}

inline Decoder small_decoder(const Json& config = small_config(), uint64_t seed = 1) {
  Decoder decoder = make_decoder(DecoderConfig::from_json(config, "test"), at::kCPU, at::kFloat);
  decoder->initialise(seed);
  return decoder;
}

/// Random documents of these lengths.
inline DecoderInput random_input(const std::vector<int64_t>& lengths, int64_t vocabulary,
                                 at::Device device = at::kCPU) {
  std::vector<int64_t> offsets = {0};
  std::vector<at::Tensor> positions;
  for (const int64_t length : lengths) {
    offsets.push_back(offsets.back() + length);
    positions.push_back(at::arange(length, at::kLong));
  }
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(5);
  const at::Tensor ids = at::randint(vocabulary, {offsets.back()}, generator, at::kLong);
  return {ids.to(device), at::cat(positions).to(device),
          kernels::Sequences::from_offsets(offsets, device)};
}

/// Mean loss with each token's target the next; the last of each document has none. With `further`
/// layers for multi-token prediction also theirs, whose targets run on into the next document.
inline at::Tensor loss_of(Decoder& decoder, const DecoderInput& input, int64_t further = 0) {
  at::Tensor targets = at::roll(input.ids, -1);
  for (size_t d = 1; d < input.segments.offsets.size(); ++d) {
    targets[input.segments.offsets[d] - 1] = -100;
  }
  at::Tensor hidden = decoder->hidden(input);
  const auto sum_of = [&](const at::Tensor& wanted) {
    return kernels::linear_cross_entropy(hidden, decoder->lm_weight(), wanted, {});
  };
  at::Tensor sum = sum_of(targets);
  for (int64_t depth = 0; depth < further; ++depth) {
    const at::Tensor ids = at::roll(input.ids, -1 - depth);
    hidden = decoder->further(depth, hidden, {ids, input.positions, input.segments});
    sum = sum + sum_of(at::roll(ids, -1));
  }
  return sum / targets.ne(-100).sum();
}

}  // namespace hone::model::test
