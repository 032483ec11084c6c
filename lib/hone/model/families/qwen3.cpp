// Qwen3, dense.
#include "hone/model/families/common.h"

namespace hone::model {
namespace {

class Qwen3 final : public CommonFamily {
  std::vector<const char*> names() const override { return {"qwen3"}; }
  const char* architecture() const override { return "Qwen3ForCausalLM"; }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    require(keys, "num_key_value_heads");
    require(keys, "head_dim");
    config.qkv_bias = config.output_bias = keys.flag("attention_bias").value_or(false);
    config.qk_norm = true;
    refuse_window(keys, config);
  }
};

}  // namespace

const Family& qwen3() {
  static const Qwen3 family;
  return family;
}

}  // namespace hone::model
