/// What predict_memory predicts, counted.
#pragma once
#include <torch/types.h>

#include <memory>
#include <vector>

#include "hone/model/adapter.h"
#include "hone/model/memory.h"
#include "hone/optim/adamw.h"
#include "model/support.h"
#include "support/allocations.h"

namespace hone::model::test {

/// Peak of the allocations in two training steps, model and optimiser included.
inline int64_t measured_peak(const Json& config_json, const MemoryRequest& request) {
  const auto counter = std::make_shared<hone::test::AllocationCounter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
  DecoderConfig config = DecoderConfig::from_json(config_json, "test");
  if (config.model_type->multi_token_layers(config) > 0) join_multi_token(config);
  Decoder decoder = make_decoder(config, at::kCPU, at::kFloat);
  decoder->initialise(1);
  decoder->set_checkpointing(request.checkpoint_every);
  for (nn::DecoderBlock& block : decoder->layers) {
    block->branch_dropout = request.branch_dropout ? 0.1 : 0;
  }
  if (request.lora) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < request.token_rows; ++i) rows.push_back(i);
    add_lora(decoder, *request.lora, 2, rows);
    if (request.lora_dropout) decoder->set_dropout(0.1);
  }
  decoder->set_index_learning(request.index);
  optim::FusedAdamW optimizer(trainable_parameters(decoder), {});
  const int64_t documents = request.documents, tokens = request.tokens_per_batch;
  std::vector<int64_t> lengths(documents, tokens / documents);
  if (const int64_t longest = request.longest; longest > 0) {
    lengths.assign(documents, (tokens - longest) / (documents - 1));
    lengths[0] = tokens - (documents - 1) * lengths[1];
  }
  const DecoderInput input = random_input(lengths, config.vocab_size);
  for (int step = 0; step < 2; ++step) {
    optimizer.zero_grad();
    for (int64_t i = 0; i < request.accumulation; ++i) {
      at::Tensor loss = loss_of(decoder, input, config.multi_token);
      for (auto& [number, indexer] : decoder->indexers()) {
        const at::Tensor own = indexer->take_loss().first;
        if (own.defined()) loss = loss + own;
      }
      loss.backward();
    }
    optimizer.scale_and_clip(1, 1);
    optimizer.step();
  }
  return counter->peak();
}

}  // namespace hone::model::test
