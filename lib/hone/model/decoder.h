/// A decoder: embedding, blocks of its family, norm and head.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hone/kernels/sequences.h"
#include "hone/model/config.h"
#include "hone/model/family.h"
#include "hone/model/kv_cache.h"
#include "hone/model/multi_token.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/decoder_block.h"
#include "hone/nn/embedding.h"
#include "hone/nn/hyper_connection.h"
#include "hone/nn/index_learning.h"
#include "hone/nn/indexer.h"
#include "hone/nn/lora.h"

namespace hone::model {

/// T positions of documents laid end to end.
struct DecoderInput {
  at::Tensor ids;        ///< [T] int64, in [0, vocab_size)
  at::Tensor positions;  ///< [T] int64, counted from 0 in each document, with its kept past
  kernels::Sequences segments;
};

/// Documents, none of them empty, laid end to end on `device`. Document d's positions begin at
/// past[d], what a cache holds of it; at 0 where `past` is empty.
DecoderInput make_input(std::span<const std::vector<int64_t>> documents, at::Device device,
                        std::span<const int64_t> past = {});

/// Embedding, blocks and final norm, with an output head that may be the embedding.
///
/// Parity: transformers' LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, logits within 1e-5
///   of the largest in float32 (tests/parity).
class DecoderImpl : public torch::nn::Module {
 public:
  /// Weights are uninitialised memory; see make_decoder and load_decoder in model/checkpoint.h.
  DecoderImpl(const DecoderConfig& config, const at::TensorOptions& tensor_options);

  /// Final hidden states [T, D], after the last norm.
  /// Throws: c10::ValueError naming the member of `input` that is misshapen.
  at::Tensor hidden(const DecoderInput& input);
  /// The same for documents that continue what `cache` holds: number d its row first_row + d, or a
  /// new row from rows() on. Their keys and values are kept in turn. `input` is
  /// make_input(documents, device, lengths of their rows). No gradient; in eval mode only.
  ///
  /// With all documents new this is hidden(input) to the bit. Dynamic rope: a position is rotated
  /// by the stretch of its document's length when it came, and kept so, as transformers does when
  /// each prompt runs alone; beyond max_position_embeddings results then depend on where a
  /// document was cut into passes.
  at::Tensor hidden(const DecoderInput& input, KvCache& cache, int64_t first_row);
  /// Hidden states [T, D] of multi_token[depth], behind its norm, of what hidden() or the layer
  /// before it gave; `input` is that of hidden() but for its ids, which are those depth + 1 further
  /// in each document. For training: nothing else computes these layers.
  at::Tensor further(size_t depth, const at::Tensor& hidden, const DecoderInput& input);
  /// The head's weight [V, D]; the embedding's where they are tied.
  at::Tensor lm_weight() const;
  /// hidden [T, D] -> [T, V].
  at::Tensor logits(const at::Tensor& hidden) const;

  /// The families' initialisation: weights normal(0, initializer_range), biases 0, norms 1, tables
  /// of experts by token at random, drawn
  /// on the CPU in float32 so that every device begins equal.
  void initialise(uint64_t seed);

  /// Tells the decoder that embedding and head have other rows now (model/resize_vocabulary.h).
  void set_vocab_size(int64_t rows) { config_.vocab_size = rows; }

  /// Recomputes every k-th block (the first of each k) in the backward pass; 0 keeps all.
  void set_checkpointing(int64_t every);
  int64_t checkpointing() const { return checkpoint_every_; }

  /// Calls `observer` with each layer's output [T, D], or its streams [T, m, D], in every pass from
  /// now on, in place of the one that had this name; empty for nobody.
  using Observer = std::function<void(size_t layer, const at::Tensor& x)>;
  void set_observer(const std::string& name, Observer observer);

  /// All tensors, an adapter's too. Names are those of the checkpoint or, of adapters, of PEFT's
  /// without its prefix; lm_head.weight only where it is not tied.
  std::vector<nn::ModuleTensor> tensors() const;
  /// What layers use of others' (config().sharing), by the names that it would have as their own.
  NamedTensors borrowed() const;
  /// The base's by these names, what is borrowed too; and as its family's checkpoints have them.
  NamedTensors base_tensors() const;
  std::vector<CheckpointTensor> checkpoint_tensors() const;
  /// What its checkpoint is written of: those, which share the model's memory unless the family
  /// lays several together, copies of embedding and head, and what travels.
  NamedTensors hf_tensors() const;

  /// Tensors of the checkpoint that are no part of the computation (Family::travels), as they came.
  const NamedTensors& travelling() const { return travelling_; }
  void set_travelling(NamedTensors tensors) { travelling_ = std::move(tensors); }
  /// The names under which the layers of multi_token have copies of embedding and head in the
  /// checkpoint: here all that may be, until load_decoder says which there are.
  void set_copies(std::vector<std::string> names) { copies_ = std::move(names); }

  /// The indexers of all layers, those of multi_token included, by the layers' numbers.
  std::vector<std::pair<int64_t, nn::Indexer>> indexers() const;
  /// What they learn by (nn::IndexerImpl). For a warm-up all else is frozen.
  /// Throws: hone::Error if there are none, unless they learn nothing.
  void set_index_learning(nn::IndexLearning learning);

  /// What a cache keeps of a position, layer by layer.
  std::vector<nn::CacheShape> cache_shapes() const;

  /// Dropout in training: of the adapters' inputs where it carries one, else of what the blocks'
  /// branches add.
  void set_dropout(double dropout);

  /// Lets the layers of each group use the q_proj and k_proj of its first: what the others had is
  /// gone (model/sharing/conversion.h makes a good pair of all first).
  /// Throws: hone::Error for a model that is pruned or carries an adapter; what
  ///   nn::MixerImpl::share_projections throws.
  void share_projections(const LayerGroups& groups);

  /// Leaves the blocks at these places; `pruned` says what they are (model/pruned/pruning.h).
  void keep_layers(const std::vector<size_t>& places, std::vector<PrunedLayer> pruned);

  /// What model/adapter.h made of it: the options of the adapter that it carries, if any.
  const std::optional<nn::LoraOptions>& adapter() const { return adapter_; }
  void set_adapter(std::optional<nn::LoraOptions> options) { adapter_ = std::move(options); }

  /// Tells the decoder that quantise_decoder() has quantised these layers.
  void set_quantised(QuantisedLayers layers) { config_.quantised = std::move(layers); }

  const DecoderConfig& config() const { return config_; }
  at::Device device() const { return embed_tokens->weight.device(); }
  at::ScalarType dtype() const { return embed_tokens->weight.scalar_type(); }

  nn::Embedding embed_tokens{nullptr};
  /// In order. A block's name in the module is that of its index before any pruning.
  std::vector<nn::DecoderBlock> layers;
  /// Null: blocks pass on one vector a token; else so many streams, which begin as the embedding.
  nn::HyperHead hc_head{nullptr};
  nn::Norm norm{nullptr};
  std::vector<MultiTokenLayer> multi_token;  ///< by depth, config().multi_token of them
  nn::Embedding lm_head{nullptr};            ///< null where it is tied to the embedding

 private:
  /// `caches`: one a layer, or null.
  at::Tensor run(const DecoderInput& input, const nn::LayerCache* caches);

  DecoderConfig config_;
  /// One block, recomputed in the backward pass if its `place` is one of those that are.
  at::Tensor pass(nn::DecoderBlock& block, size_t place, const at::Tensor& x,
                  const nn::AttentionContext& context);

  NamedTensors travelling_;
  std::vector<std::string> copies_;
  std::shared_ptr<torch::nn::Module> blocks_;
  nn::Rotary rotary_;
  int64_t checkpoint_every_ = 0;
  std::map<std::string, Observer> observers_;
  std::optional<nn::LoraOptions> adapter_;
};
TORCH_MODULE(Decoder);

/// The path in a checkpoint of a decoder's parameter or module: "model." before all but lm_head.
std::string checkpoint_name(const std::string& name);

/// The name of layer `number` in a checkpoint, "model.layers.3.", as its tensors' names begin.
std::string layer_prefix(int64_t number);
/// The number of the layer that a name of a tensor or module lies in; none for embedding, last norm
/// and head.
std::optional<int64_t> layer_of(const std::string& name);

}  // namespace hone::model
