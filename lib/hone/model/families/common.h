/// Dense decoders that differ in a few keys: RMS norms, Attention, the gated MLP, rotary positions.
#pragma once
#include <cstdint>
#include <string>

#include "hone/core/json.h"
#include "hone/core/keys.h"
#include "hone/model/config.h"
#include "hone/model/family.h"

namespace hone::model {

/// What these families share. Each says its names and reads the keys that are its own.
class DenseFamily : public Family {
 public:
  DecoderConfig read(const Json& config, const std::string& source) const final;
  nn::DecoderBlock block(const DecoderConfig& config, const LayerSizes& sizes,
                         const at::TensorOptions& tensor_options) const override;
  nn::Norm norm(const DecoderConfig& config,
                const at::TensorOptions& tensor_options) const override;

 protected:
  virtual void read_own(Keys& keys, DecoderConfig& config) const = 0;

  /// A problem if any layer attends to a window only.
  static void refuse_window(Keys& keys, const DecoderConfig& config);
  /// A problem if the key is missing: transformers' default for it is that of one released model,
  /// and no guess for another.
  static void require(Keys& keys, const char* key);
};

const Family& llama();
const Family& qwen2();
const Family& qwen3();

}  // namespace hone::model
