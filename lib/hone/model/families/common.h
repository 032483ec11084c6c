/// What all released families share: RMS norms, rotary positions, and most keys of config.json.
#pragma once
#include <cstdint>
#include <string>

#include "hone/core/json.h"
#include "hone/core/keys.h"
#include "hone/model/config.h"
#include "hone/model/family.h"

namespace hone::model {

// Far above any released model; they keep products of sizes within 64 bits.
constexpr int64_t kMaxWidth = 1 << 20, kMaxHeads = 1 << 16;

/// Each family says its names, reads the keys that are its own and may have other branches than
/// Attention and the gated MLP.
class CommonFamily : public Family {
 public:
  DecoderConfig read(const Json& config, const std::string& source) const final;
  nn::DecoderBlock block(const DecoderConfig& config, const LayerSizes& sizes,
                         const at::TensorOptions& tensor_options) const final;
  nn::Norm norm(const DecoderConfig& config, const at::TensorOptions& tensor_options) const final;

 protected:
  /// num_attention_heads, num_key_value_heads and head_dim, the width that is rotated.
  virtual void read_heads(Keys& keys, DecoderConfig& config) const;
  /// All keys of the family's own; those of common use are read.
  virtual void read_own(Keys& keys, DecoderConfig& config) const = 0;

  virtual nn::Mixer mixer(const DecoderConfig& config, const LayerSizes& sizes,
                          const at::TensorOptions& tensor_options) const;
  virtual nn::FeedForward feed_forward(const DecoderConfig& config, const LayerSizes& sizes,
                                       const at::TensorOptions& tensor_options) const;

  /// A problem if any layer attends to a window only.
  static void refuse_window(Keys& keys, const DecoderConfig& config);
  /// A problem if the key is missing: transformers' default for it is that of one released model,
  /// and no guess for another.
  static void require(Keys& keys, const char* key);
};

const Family& llama();
const Family& qwen2();
const Family& qwen3();
const Family& qwen3_moe();
const Family& deepseek();
const Family& deepseek_v2();
const Family& deepseek_v3();
const Family& deepseek_v32();

}  // namespace hone::model
