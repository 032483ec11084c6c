#include "hone/model/memory.h"

#include <torch/types.h>

#include <algorithm>
#include <map>

#include "hone/core/error.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "hone/kernels/sequences.h"
#include "hone/model/checkpoint.h"
#include "hone/model/detail/lora_layout.h"
#include "hone/optim/adamw.h"

// Legend: widths are numbers a token; D residual stream, Q query heads, K key heads, R key heads
// repeated where their groups are uneven, I MLP.
namespace hone::model {
namespace {

using Targets = std::map<std::string, const detail::LoraTarget*>;

/// What one block keeps for its backward pass, and what that pass adds while it runs.
struct BlockWidths {
  int64_t attention = 0, mlp = 0;  ///< saved
  int64_t attention_backward = 0;  ///< more than saved, when the attention's gradients are made
  int64_t mlp_backward = 0;
  int64_t attention_gradients = 0, mlp_gradients = 0;  ///< numbers, not a token
};

class BlockModel {
 public:
  BlockModel(const DecoderConfig& config, const MemoryRequest& request, const Targets& targets)
      : c_(config),
        full_(!request.lora),
        packed_(request.documents > 1),
        longest_(request.longest > 0
                     ? request.longest
                     : (request.tokens_per_batch + request.documents - 1) / request.documents),
        padding_(padding(request.documents, longest_, request.tokens_per_batch)),
        half_(request.bytes_per_element < 4),
        drops_(request.branch_dropout),
        targets_(targets) {}

  BlockWidths widths(const LayerSizes& sizes) const {
    const std::string prefix = "model.layers." + std::to_string(sizes.index) + ".";
    const int64_t D = c_.hidden_size, I = sizes.channels;
    const int64_t Q = sizes.heads * c_.head_dim;
    const int64_t K = sizes.kv_heads * c_.head_dim;
    const int64_t R = sizes.cached_heads * c_.head_dim;
    BlockWidths b;
    const auto linear = [&](const char* name, int64_t in, int64_t out, bool bias, int64_t& saved,
                            int64_t& gradients) {
      const auto found = targets_.find(prefix + name);
      if (full_) {
        gradients += in * out + (bias ? out : 0);
        return true;
      }
      if (found == targets_.end()) return false;
      const nn::LoraSpec& spec = found->second->spec;
      gradients += spec.rank * (in + out) + (spec.dora ? out : 0);
      saved += spec.rank + (spec.dora ? out : 0) + (spec.dropout > 0 ? 2 * in : 0);
      return spec.dropout == 0;  // else its input is kept as dropped
    };
    // Does any layer keep the shared input itself?
    const bool q =
        linear("self_attn.q_proj", D, Q, c_.qkv_bias, b.attention, b.attention_gradients);
    const bool k =
        linear("self_attn.k_proj", D, K, c_.qkv_bias, b.attention, b.attention_gradients);
    const bool v =
        linear("self_attn.v_proj", D, K, c_.qkv_bias, b.attention, b.attention_gradients);
    const bool o =
        linear("self_attn.o_proj", Q, D, c_.output_bias, b.attention, b.attention_gradients);
    const bool gate = linear("mlp.gate_proj", D, I, c_.mlp_bias, b.mlp, b.mlp_gradients);
    const bool up = linear("mlp.up_proj", D, I, c_.mlp_bias, b.mlp, b.mlp_gradients);
    const bool down = linear("mlp.down_proj", I, D, c_.mlp_bias, b.mlp, b.mlp_gradients);
    if (full_) {
      b.attention_gradients += D + (c_.qk_norm ? 2 * c_.head_dim : 0);
      b.mlp_gradients += D;
    }

    // Norm input, its output if kept, rotated q and k, v, the mix and its softmax sums.
    const int64_t grid = padded(2 * Q + 2 * R);
    b.attention += norm(D) + (q || k || v ? D : 0) + grid + padded(sizes.heads);
    if (packed_ && o) b.attention += Q;  // the mix again, put back in the order of tokens
    if (c_.qk_norm) b.attention += norm(Q) + norm(K);
    b.attention_backward = D + grid;
    if (c_.attention_dropout > 0) {
      // LibTorch's unfused attention: softmax, dropout's noise and their product for all pairs of
      // positions, keys and values repeated for each query head.
      const int64_t pairs = padded(sizes.heads * longest_);
      b.attention += 3 * pairs + padded(2 * (Q - R));
      b.attention_backward += 2 * pairs;
    }
    // gate and up, and their product if kept. Backward: its gradient and theirs.
    b.mlp += norm(D) + (gate || up ? D : 0) + 2 * I + (down ? I : 0) + (half_ ? I : 0);
    b.mlp_backward = D + 3 * I - (down ? I : 0);
    if (drops_) {  // the noise of each branch, and what it makes of the gradient
      b.attention += D;
      b.mlp += D;
      b.attention_backward += D;
      b.mlp_backward += D;
    }
    return b;
  }

 private:
  /// A norm's input and, where it does not run fused (half types), its float32 steps.
  int64_t norm(int64_t width) const { return half_ ? 4 * width : width + 1; }

  static double padding(int64_t documents, int64_t longest, int64_t tokens) {
    if (!kernels::padded_to_grid(documents, longest, tokens)) return 1;
    return std::max(1.0, static_cast<double>(documents * longest) / static_cast<double>(tokens));
  }
  int64_t padded(int64_t width) const {
    return static_cast<int64_t>(padding_ * static_cast<double>(width));
  }

  const DecoderConfig& c_;
  bool full_, packed_;
  int64_t longest_;
  double padding_;  ///< positions of attention to a token
  bool half_, drops_;
  const Targets& targets_;
};

int64_t numel(const NamedTensors& tensors) {
  int64_t count = 0;
  for (const auto& [name, tensor] : tensors) count += tensor.numel();
  return count;
}

}  // namespace

std::vector<std::pair<std::string, int64_t>> MemoryPlan::items() const {
  return {{"weights", weights},
          {"gradients", gradients},
          {"optimizer_states", optimizer_states},
          {"activations", activations},
          {"loss", loss},
          {"peak", peak}};
}

MemoryPlan predict_memory(const DecoderConfig& config, const MemoryRequest& request) {
  // A model without memory tells shapes and names.
  const Decoder decoder = make_decoder(config, at::kMeta, at::kFloat);
  std::vector<detail::LoraTarget> adapted;
  int64_t saved_modules = 0;
  if (request.lora) {
    adapted = detail::lora_targets(decoder, *request.lora);
    detail::check_patterns(adapted, *request.lora);
    saved_modules = numel(detail::saved_modules(decoder, request.lora->modules_to_save));
  }
  Targets targets;
  for (const detail::LoraTarget& target : adapted) targets[target.name] = &target;

  const int64_t e = request.bytes_per_element, T = request.tokens_per_batch;
  const int64_t D = config.hidden_size, V = config.vocab_size;
  const bool tied = config.tie_word_embeddings;
  const int64_t rows = request.lora ? request.token_rows * D * (tied ? 1 : 2) : 0;
  const BlockModel model(config, request, targets);
  std::vector<BlockWidths> blocks;
  for (const LayerSizes& sizes : layer_sizes(config)) blocks.push_back(model.widths(sizes));
  const auto L = static_cast<int64_t>(blocks.size());

  int64_t adapter = rows, trained = 0;
  const int64_t base = numel(decoder->hf_tensors());
  for (const BlockWidths& block : blocks) {
    trained += block.attention_gradients + block.mlp_gradients;
  }
  if (request.lora) {
    adapter += trained;
    trained = adapter + saved_modules;
  } else {
    trained = base;
  }

  MemoryPlan plan;
  plan.weights = e * (base + adapter);
  plan.gradients = e * trained;
  plan.optimizer_states = (e < 4 ? 12 : 8) * trained;

  // Kept by each block until its backward pass: everything, or its input when it is recomputed.
  const auto kept = [&](int64_t i) {
    const bool again = request.checkpoint_every > 0 && i % request.checkpoint_every == 0;
    return again ? D : blocks[i].attention + blocks[i].mlp;
  };
  const int64_t shared = e * T * (2 * config.head_dim + D);  // cos, sin, the last norm's input
  plan.activations = shared;
  for (int64_t i = 0; i < L; ++i) plan.activations += e * T * kept(i);

  // The loss: hidden states and their gradient, one chunk of logits and its rows of both.
  const int64_t most = kernels::chunk_rows(V, request.device);
  const int64_t chunks = (T + most - 1) / most, chunk = (T + chunks - 1) / chunks;
  plan.loss = e * (2 * T * D + chunk * (V + 2 * D));
  const bool ours = request.device.is_cpu() && e == 4;  // else ATen's operations, in float32
  constexpr int64_t kWide = sizeof(float);
  if (!ours) plan.loss += (e < 4 ? 2 : 1) * kWide * std::min(chunk, kernels::wide_rows(V)) * V;
  const bool head_trains = !request.lora || request.token_rows > 0 || saved_modules > 0;
  const int64_t table = e * V * D;
  int64_t head = head_trains ? table : 0;                     // the head's gradient
  if (request.lora && request.token_rows > 0) head += table;  // the table with its rows put in
  const int64_t standing = plan.weights + plan.optimizer_states;
  const int64_t before = request.accumulation > 1 ? plan.gradients : 0;
  plan.peak = standing + before + plan.activations + plan.loss + head;

  // The backward pass from the last block to the first: activations go, gradients come.
  int64_t left = plan.activations - e * T * D, made = before > 0 ? before : head;
  for (int64_t i = L - 1; i >= 0; --i) {
    const BlockWidths& b = blocks[i];
    left -= e * T * kept(i);
    const int64_t own = before > 0 ? 0 : e;
    const int64_t mlp = e * T * (b.attention + b.mlp + b.mlp_backward);
    plan.peak = std::max(plan.peak, standing + made + left + mlp);
    made += own * b.mlp_gradients;
    const int64_t attention = e * T * (b.attention + b.attention_backward);
    plan.peak = std::max(plan.peak, standing + made + left + attention);
    made += own * b.attention_gradients;
  }
  // Last, the embedding's gradient; a tied head's waits for it.
  const int64_t embedding = request.lora ? 0 : table;
  plan.peak = std::max(plan.peak, standing + made + embedding + 2 * e * T * D);
  const int64_t scaled = request.device.is_cpu() ? 0 : kWide * std::min(trained, optim::kStepGroup);
  plan.peak = std::max(plan.peak, standing + plan.gradients + scaled);
  return plan;
}

}  // namespace hone::model
