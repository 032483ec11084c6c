/// Families with experts in some of their layers.
#pragma once
#include <any>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "hone/model/families/common.h"
#include "hone/nn/latent_attention.h"
#include "hone/nn/moe.h"

namespace hone::model {

/// What DecoderConfig::own holds for these families.
struct SparseOptions {
  nn::MoeOptions experts;
  /// By index, those for multi-token prediction behind the others: whether it has experts.
  std::vector<bool> sparse;
  bool stacked = false;            ///< the checkpoint has all experts of a layer in one tensor
  int64_t extra_layers = 0;        ///< for multi-token prediction, behind the others
  bool empty_shared = false;       ///< the checkpoint has shared experts of width 0
  nn::LatentAttentionOptions mla;  ///< of families with latent attention; num_heads is a layer's
  std::any own;                    ///< what one family alone needs
};

const SparseOptions& sparse_options(const DecoderConfig& config);

/// Experts as transformers has them: stacked in memory; in a checkpoint a tensor an expert
/// (transformers before 5, and what it writes since) or stacked. What was read is written.
class SparseFamily : public CommonFamily {
 public:
  void recognise(DecoderConfig& config, const std::vector<std::string>& names) const override;
  std::vector<CheckpointTensor> checkpoint_tensors(const NamedTensors& base,
                                                   const DecoderConfig& config) const override;
  int64_t multi_token_layers(const DecoderConfig& config) const override;
  RoutedExperts experts(const DecoderConfig& config, int64_t layer) const override;
  /// Layers for multi-token prediction that are no part of the model, copies of embedding and head
  /// in those that are, and shared experts of width 0.
  bool travels(const std::string& name, const DecoderConfig& config) const override;
  /// Without layers for multi-token prediction, and how many come before the first with experts,
  /// and how many experts a layer has now.
  void keep_layers(Json& json, const std::vector<int64_t>& left,
                   const DecoderConfig& config) const override;

 protected:
  nn::FeedForward feed_forward(const DecoderConfig& config, const LayerSizes& sizes,
                               const at::TensorOptions& tensor_options) const override;

  /// The experts that each layer with any has now, the same number in all of them; 0 where none
  /// has. Throws: hone::Error where they differ.
  static int64_t experts_left(const DecoderConfig& config);
  /// The keys of DeepSeek's experts but for those of groups: sizes, which layers have them, scale.
  static std::vector<std::string> expert_keys();
  /// Reads them. Where n_routed_experts is absent, no layer has any.
  static SparseOptions read_experts(Keys& keys, const DecoderConfig& config);
  /// A problem of each key that is not there, not even as null, though the model has experts:
  /// transformers and DeepSeek's own code then take different values.
  static void require_said(Keys& keys, std::initializer_list<const char*> wanted);
  /// n_group and topk_group, of which each counts its `top` best experts.
  static void read_groups(Keys& keys, int64_t top, nn::RouterOptions& router);
  /// A problem if more experts are wanted than there are, or are there than a file could have.
  static void check_choice(Keys& keys, const nn::RouterOptions& router, const DecoderConfig& config,
                           int64_t extra_layers = 0);
};

}  // namespace hone::model
