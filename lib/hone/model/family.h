/// Families of decoders: what their config.json says, what their blocks are, how their checkpoints
/// name tensors.
///
/// A family is one class, registered under the model_type that config.json gives; loading,
/// training, the memory plan, pruning, adapters, caches and saving work through it and the modules
/// that it makes (nn/branch.h).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/json.h"
#include "hone/io/tensors.h"
#include "hone/model/config.h"
#include "hone/model/pruned/layers.h"
#include "hone/nn/branch.h"
#include "hone/nn/decoder_block.h"
#include "hone/nn/hyper_connection.h"

namespace hone::model {

using io::NamedTensors;

/// A tensor of a checkpoint: one of the decoder's, or several laid end to end along dimension 0.
struct CheckpointTensor {
  std::string name;
  std::vector<at::Tensor> parts;  ///< those of the decoder, sharing its memory

  std::vector<int64_t> shape() const;
  /// The part itself where it is one, else a copy of all.
  at::Tensor whole() const;
};

/// The routed experts of a layer, before any pruning.
struct RoutedExperts {
  int64_t count = 0;   ///< 0: it has none
  int64_t groups = 1;  ///< of consecutive experts, equal in number
  int64_t least = 1;   ///< fewest that a group must have
};

class Family {
 public:
  virtual ~Family() = default;

  /// config.json's model_type; several for models that differ in nothing but this name.
  virtual std::vector<const char*> names() const = 0;
  /// The class of transformers, config.json's "architectures".
  virtual const char* architecture() const = 0;

  /// The keys of config.json that give sizes of what not all families have.
  virtual std::vector<std::string> own_keys() const { return {}; }

  /// Why a model of the family cannot begin without weights; null where it can.
  virtual const char* needs_weights() const { return nullptr; }

  /// All of DecoderConfig but model_type and pruned; `source` names the file in messages.
  /// Throws: IoError listing every key that is missing, malformed or asks for what is not
  /// supported.
  virtual DecoderConfig read(const Json& config, const std::string& source) const = 0;

  /// The block of one layer, without values.
  virtual nn::DecoderBlock block(const DecoderConfig& config, const LayerSizes& sizes,
                                 const at::TensorOptions& tensor_options) const = 0;
  /// What makes one vector a token of the streams that blocks with hyper-connections pass on. Here:
  /// null, blocks pass on one vector.
  virtual nn::HyperHead head_connection(const DecoderConfig& config,
                                        const at::TensorOptions& tensor_options) const;
  /// The norm behind the last block.
  virtual nn::Norm norm(const DecoderConfig& config,
                        const at::TensorOptions& tensor_options) const = 0;

  /// The layers for multi-token prediction that config.json tells of; they are numbered behind the
  /// others. Here: none.
  virtual int64_t multi_token_layers(const DecoderConfig& config) const;
  /// Here: there are none.
  virtual RoutedExperts experts(const DecoderConfig& config, int64_t layer) const;

  /// Takes from the names of a checkpoint's tensors what config.json leaves open. Here: nothing.
  virtual void recognise(DecoderConfig& config, const std::vector<std::string>& names) const;

  /// The checkpoint's tensors that the base's are, by DecoderImpl::tensors()' names. Here: each by
  /// its own name. Layers may be fewer, or numbered anew by an export.
  virtual std::vector<CheckpointTensor> checkpoint_tensors(const NamedTensors& base,
                                                           const DecoderConfig& config) const;
  /// Whether a checkpoint's tensor that is none of them only travels, to the bit, from the folder
  /// that is loaded to those that are saved: of a layer for multi-token prediction that is no part
  /// of the model, say. Here: none does, and a checkpoint with others is refused.
  virtual bool travels(const std::string& name, const DecoderConfig& config) const;

  /// Changes what config.json tells of single layers to that of these, which are left and will be
  /// numbered anew, without any that only travel. Here: layer_types.
  /// Throws: hone::Error if the family's config.json cannot say it, as for layers that are left
  ///   with different numbers of experts.
  virtual void keep_layers(Json& json, const std::vector<int64_t>& left,
                           const DecoderConfig& config) const;

  /// Whether the linear layers of its blocks may hold integers (model/quantised_layers.h). Here:
  /// yes.
  virtual bool quantises() const { return true; }

  /// Whether transformers wants the number of query heads to divide hidden_size.
  virtual bool heads_divide_width() const { return false; }
};

/// Adds a family, which must outlive its decoders. Call it before threads read configs.
/// Throws: hone::Error if one of its names is taken.
void register_family(const Family& family);

}  // namespace hone::model
