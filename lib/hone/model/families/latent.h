/// Families with multi-head latent attention: DeepSeek-V2 and those after it.
#pragma once
#include <string>
#include <vector>

#include "hone/model/families/sparse.h"

namespace hone::model {

class LatentFamily : public SparseFamily {
 public:
  std::vector<std::string> own_keys() const override;

 protected:
  /// num_key_value_heads and head_dim, which mean nothing here, are not read.
  void read_heads(Keys& keys, DecoderConfig& config) const override;
  nn::Mixer mixer(const DecoderConfig& config, const LayerSizes& sizes,
                  const at::TensorOptions& tensor_options) const override;

  /// The keys of the attention.
  static nn::LatentAttentionOptions read_attention(Keys& keys, const DecoderConfig& config);
  /// The keys of DeepSeek-V3's experts and attention, rope_interleave aside.
  static SparseOptions read_v3(Keys& keys, const DecoderConfig& config);
};

}  // namespace hone::model
