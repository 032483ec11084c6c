// Qwen2 and Qwen2.5.
#include "hone/model/families/common.h"

namespace hone::model {
namespace {

class Qwen2 final : public CommonFamily {
  std::vector<const char*> names() const override { return {"qwen2"}; }
  const char* architecture() const override { return "Qwen2ForCausalLM"; }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    require(keys, "num_key_value_heads");
    config.qkv_bias = true;
    refuse_window(keys, config);
  }
};

}  // namespace

const Family& qwen2() {
  static const Qwen2 family;
  return family;
}

}  // namespace hone::model
