// Llama, and everything that took its shape: DeepSeek-LLM and -Coder, the R1 distillations on it.
#include "hone/model/families/common.h"

namespace hone::model {
namespace {

class Llama final : public CommonFamily {
  std::vector<const char*> names() const override { return {"llama"}; }
  const char* architecture() const override { return "LlamaForCausalLM"; }
  bool heads_divide_width() const override { return true; }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    config.qkv_bias = config.output_bias = keys.flag("attention_bias").value_or(false);
    config.mlp_bias = keys.flag("mlp_bias").value_or(false);
  }
};

}  // namespace

const Family& llama() {
  static const Llama family;
  return family;
}

}  // namespace hone::model
