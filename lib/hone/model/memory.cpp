#include "hone/model/memory.h"

#include <torch/types.h>

#include <algorithm>
#include <numeric>

#include "hone/kernels/linear_cross_entropy.h"
#include "hone/kernels/sequences.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/branch.h"
#include "hone/optim/adamw.h"

namespace hone::model {
namespace {

nn::StepShape step_shape(const MemoryRequest& request) {
  const int64_t documents = request.documents, tokens = request.tokens_per_batch;
  const int64_t longest =
      request.longest > 0 ? request.longest : (tokens + documents - 1) / documents;
  nn::StepShape step{.documents = documents,
                     .longest = longest,
                     .half = request.bytes_per_element < 4,
                     .tokens = tokens};
  if (kernels::padded_to_grid(documents, longest, tokens)) {
    step.padding =
        std::max(1.0, static_cast<double>(documents * longest) / static_cast<double>(tokens));
  }
  return step;
}

/// The decoder without memory, with the adapter and dropout that the step has.
Decoder described(const DecoderConfig& config, const MemoryRequest& request) {
  Decoder decoder = make_decoder(config, at::kMeta, at::kFloat);
  if (request.lora) {
    std::vector<int64_t> rows(request.token_rows);
    std::iota(rows.begin(), rows.end(), 0);
    add_lora(decoder, *request.lora, /*seed=*/0, rows);
    if (request.lora_dropout) decoder->set_dropout(0.1);  // any keeps as much
  }
  set_rounding(*decoder, request.rounded);
  decoder->set_index_learning(request.index);
  const double dropout = request.branch_dropout ? 0.1 : 0;  // any keeps as much
  for (nn::DecoderBlock& block : decoder->layers) block->branch_dropout = dropout;
  for (MultiTokenLayer& layer : decoder->multi_token) layer.block->branch_dropout = dropout;
  return decoder;
}

/// What runs between two points at which nothing but its input need be held.
struct Stage {
  std::vector<nn::Footprint> branches;
  bool again = false;  ///< whether it is recomputed
  int64_t width = 0;   ///< numbers a token of its input, where it is
  bool joins = false;  ///< what a layer for multi-token prediction does beside its block
  int64_t codes = 0;   ///< bytes that its linear layers' rounded weights keep
};

/// Bytes of the integers to which a block's linear layers round their weights in each pass.
int64_t code_bytes(nn::DecoderBlock block) {
  int64_t bits = 0;
  for (const auto& module : block->modules()) {
    const auto* linear = module->as<nn::LinearImpl>();
    if (!linear || !linear->rounding() || linear->is_quantised()) continue;
    bits += linear->rounding()->weight.bits * linear->options.in * linear->options.out;
  }
  return bits / 8;
}

/// In the order of the forward pass: the blocks, then the layers for multi-token prediction.
std::vector<Stage> stages(const Decoder& decoder, const nn::StepShape& step, int64_t every) {
  std::vector<Stage> stages;
  int64_t place = 0;
  const auto add = [&](const nn::DecoderBlock& block) {
    stages.push_back({.branches = block->footprints(step),
                      .again = every > 0 && place++ % every == 0,
                      .width = block->width(),
                      .codes = code_bytes(block)});
  };
  for (const nn::DecoderBlock& block : decoder->layers) add(block);
  for (const MultiTokenLayer& layer : decoder->multi_token) {
    stages.push_back({.branches = {layer.footprint(step)}, .joins = true});
    add(layer.block);
  }
  // No gradient goes below the first parameter that trains, and nothing is kept there.
  bool trains = nn::trained_numel(*decoder->embed_tokens) > 0;
  for (Stage& stage : stages) {
    for (nn::Footprint& branch : stage.branches) {
      trains = trains || branch.gradients > 0;
      if (!trains) branch = {};
    }
  }
  return stages;
}

/// Of a warm-up of the indexers, which alone keep anything: what comes in and what they make of it.
std::vector<Stage> warm_up_stages(const Decoder& decoder, const nn::StepShape& step,
                                  int64_t every) {
  std::vector<Stage> all = stages(decoder, step, every);
  std::erase_if(all, [](const Stage& stage) { return stage.joins; });
  const auto indexers = decoder->indexers();
  for (size_t i = 0; i < all.size(); ++i) {
    const nn::Indexer& indexer = indexers[i].second;
    nn::Footprint own = indexer->footprint(step);
    own.saved += indexer->wk->weight.size(1) + indexer->wq_b->weight.size(1);
    own.forward += all[i].branches.front().saved;  // what the attention keeps elsewhere
    all[i].branches = {own};
  }
  return all;
}

int64_t sum_of(const std::vector<nn::Footprint>& branches, int64_t nn::Footprint::* part) {
  int64_t sum = 0;
  for (const nn::Footprint& branch : branches) sum += branch.*part;
  return sum;
}

int64_t saved(const std::vector<nn::Footprint>& branches) {
  return sum_of(branches, &nn::Footprint::saved);
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
  const Decoder decoder = described(config, request);
  const nn::StepShape step = step_shape(request);
  const bool frozen = request.index == nn::IndexLearning::kWarmUp;
  std::vector<Stage> passed =
      (frozen ? warm_up_stages : stages)(decoder, step, request.checkpoint_every);
  const int64_t e = request.bytes_per_element, T = request.tokens_per_batch;
  const int64_t D = config.hidden_size, V = config.vocab_size, further = config.multi_token;
  const int64_t trained = nn::trained_numel(*decoder);

  MemoryPlan plan;
  plan.weights = e * (nn::numel(*decoder) + nn::numel(*decoder, nn::Role::kBuffer) +
                      nn::numel(*decoder, nn::Role::kAdapter)) +
                 nn::bytes(*decoder, nn::Role::kCodes);
  for (const auto& [name, tensor] : decoder->borrowed()) plan.copies += e * tensor.numel();
  plan.gradients = e * trained;
  plan.optimizer_states = (e < 4 ? 12 : 8) * trained;

  // Kept by each until its backward pass: everything, or its input when it is recomputed.
  const auto kept = [](const Stage& stage) {
    return stage.again ? stage.width + sum_of(stage.branches, &nn::Footprint::always)
                       : saved(stage.branches);
  };
  // cos, sin, the last norm's input and what that is of
  const int64_t head_kept = decoder->hc_head ? decoder->hc_head->saved(step) : 0;
  plan.activations = e * T * ((1 + further) * 2 * config.rope.head_dim + D + head_kept);
  for (const Stage& stage : passed) {
    plan.activations += e * T * kept(stage) + (stage.again ? 0 : stage.codes);
  }

  // The loss: hidden states and their gradient, one chunk of logits and its rows of both; and the
  // gradients of the losses before it.
  const int64_t most = kernels::chunk_rows(V, request.device);
  const int64_t chunks = (T + most - 1) / most, chunk = (T + chunks - 1) / chunks;
  plan.loss = e * ((frozen ? 1 : 2 + further) * T * D + chunk * (V + 2 * D));
  const bool ours = request.device.is_cpu() && e == 4;  // else ATen's operations, in float32
  constexpr int64_t kWide = sizeof(float);
  if (!ours) plan.loss += (e < 4 ? 2 : 1) * kWide * std::min(chunk, kernels::wide_rows(V)) * V;
  const bool head_trains = !frozen && (!request.lora || request.token_rows > 0 ||
                                       !request.lora->modules_to_save.empty());
  const int64_t table = e * V * D;
  int64_t head = head_trains ? table : 0;                     // the head's gradient
  if (request.lora && request.token_rows > 0) head += table;  // the table with its rows put in
  const int64_t standing = plan.weights + plan.optimizer_states;
  const int64_t before = request.accumulation > 1 ? plan.gradients : 0;
  plan.peak = standing + before + plan.activations + plan.loss + (1 + further) * head;

  // The backward pass from the last block to the first: activations go, gradients come. With layers
  // for multi-token prediction those of head and embedding wait for each other's.
  const int64_t embedding = request.lora || frozen ? 0 : table;
  int64_t left = plan.activations - e * T * D, made = before > 0 ? before : head;
  // By the losses before the one that is at work.
  int64_t held = frozen ? 0 : further * (e * T * D + head);
  int64_t waiting = further > 0 ? std::min(before, head) : 0;
  for (; !passed.empty(); passed.pop_back()) {
    left -= e * T * kept(passed.back()) + (passed.back().again ? 0 : passed.back().codes);
    for (auto& branches = passed.back().branches; !branches.empty(); branches.pop_back()) {
      const nn::Footprint& last = branches.back();
      const int64_t forward = passed.back().again ? last.forward : 0;
      const int64_t alive = e * T * (saved(branches) + std::max(last.backward, forward));
      plan.peak = std::max(plan.peak, standing + made + left + held + waiting + alive);
      const int64_t computed = e * T * (saved(branches) + last.forward);
      plan.peak = std::max(plan.peak, standing + before + left + computed);
      plan.forward = std::max(plan.forward, e * T * last.forward);
      if (before == 0) made += e * last.gradients;
    }
    if (!passed.back().joins) continue;
    held -= e * T * D + head;
    waiting = embedding + (held > 0 ? std::min(before, head) : 0);
  }
  // Last, the embedding's gradient; a tied head's waits for it.
  plan.peak = std::max(plan.peak, standing + made + waiting + embedding + 2 * e * T * D);
  const int64_t scaled = request.device.is_cpu() ? 0 : kWide * std::min(trained, optim::kStepGroup);
  plan.peak = std::max(plan.peak, standing + plan.gradients + scaled);
  return plan;
}

}  // namespace hone::model
