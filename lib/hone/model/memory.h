/// What training a decoder will need of memory, before it is built.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/model/config.h"
#include "hone/nn/index_learning.h"
#include "hone/nn/lora.h"

namespace hone::model {

/// One training step's circumstances.
struct MemoryRequest {
  int64_t tokens_per_batch = 1024;
  int64_t documents = 1;          ///< in a batch
  int64_t longest = 0;            ///< tokens of the longest of them; 0: all are about equally long
  int64_t bytes_per_element = 4;  ///< of weights and activations: 4 float32, 2 bfloat16
  int64_t accumulation = 1;       ///< batches a step; more keep gradients from one to the next
  int64_t checkpoint_every = 0;   ///< as Decoder::set_checkpointing
  nn::IndexLearning index = nn::IndexLearning::kOff;  ///< what the indexers learn by
  bool branch_dropout = false;  ///< whether the blocks' branches are dropped (nn/decoder_block.h)
  std::optional<nn::LoraOptions> lora;  ///< absent: all parameters train
  bool lora_dropout = false;  ///< whether its linear layers' inputs may come to be dropped
  std::optional<QuantisedLayers> rounded;  ///< layers that train rounded to integers
  int64_t token_rows = 0;                  ///< trainable rows of a grown vocabulary, with lora
  at::Device device = at::kCPU;            ///< decides how many logits are held at once
};

/// Bytes. The parts need not be alive at the same time: `peak` says what is.
struct MemoryPlan {
  int64_t weights = 0;  ///< base and adapter
  int64_t gradients = 0;
  int64_t optimizer_states = 0;  ///< two float32 moments, and float32 masters of half types
  int64_t activations = 0;       ///< kept from the forward for the backward pass
  int64_t loss = 0;              ///< hidden states, their gradient and a chunk of logits
  int64_t forward = 0;           ///< most that a branch holds for the while that it is computed
  int64_t peak = 0;              ///< most alive at one moment of a step
  int64_t copies = 0;  ///< of the weights, in a checkpoint alone: what layers borrow of others

  /// Name and bytes of each, in the order above, without `forward` and `copies`.
  std::vector<std::pair<std::string, int64_t>> items() const;
};

/// Predicted from the sizes alone; within 10 % of the allocations counted on the CPU in float32
/// (tests/model/memory_test.cpp). Half types and other devices are an estimate, with what the loss
/// and the optimiser hold in float32 there (kernels::wide_rows, optim::kStepGroup).
/// Throws: hone::Error for a lora that fits no module, and for a model without indexers to train.
MemoryPlan predict_memory(const DecoderConfig& config, const MemoryRequest& request);

}  // namespace hone::model
