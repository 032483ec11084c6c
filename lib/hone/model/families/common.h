/// What all released families share: RMS norms, rotary positions, and most keys of config.json.
#pragma once
#include <cstdint>
#include <string>
#include <utility>

#include "hone/core/json.h"
#include "hone/core/keys.h"
#include "hone/model/config.h"
#include "hone/model/family.h"
#include "hone/nn/hyper_connection.h"
#include "hone/nn/rotary.h"

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
  /// The key of config.json that becomes intermediate_size.
  virtual const char* width_key() const { return "intermediate_size"; }
  /// num_attention_heads, num_key_value_heads and head_dim, the width that is rotated.
  virtual void read_heads(Keys& keys, DecoderConfig& config) const;
  /// rope, of head_dim numbers.
  virtual void read_positions(Keys& keys, DecoderConfig& config) const;
  /// All keys of the family's own; those of common use are read.
  virtual void read_own(Keys& keys, DecoderConfig& config) const = 0;

  virtual nn::Mixer mixer(const DecoderConfig& config, const LayerSizes& sizes,
                          const at::TensorOptions& tensor_options) const;
  virtual nn::FeedForward feed_forward(const DecoderConfig& config, const LayerSizes& sizes,
                                       const at::TensorOptions& tensor_options) const;

  /// What its branches are connected by; here null, a sum.
  virtual nn::HyperConnection connection(const DecoderConfig& config,
                                         const at::TensorOptions& tensor_options) const;

  /// The object that says how positions are stretched and its key, by transformers' order of
  /// precedence; an empty one where none does.
  static std::pair<const Json*, std::string> rope_object(Keys& keys);
  /// Angles of head_dim numbers as the members of `rope`, which lies `place` below `keys`, say.
  static nn::RotaryOptions read_angles(Keys& keys, const Json& rope, const std::string& place,
                                       const DecoderConfig& config);
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
const Family& deepseek_v4();

}  // namespace hone::model
