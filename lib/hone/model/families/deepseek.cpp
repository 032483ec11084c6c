// DeepSeekMoE-16B: llama's attention, and experts chosen by the largest softmax scores.
#include "hone/model/families/sparse.h"

namespace hone::model {
namespace {

class DeepSeek final : public SparseFamily {
  std::vector<const char*> names() const override { return {"deepseek"}; }
  const char* architecture() const override { return "DeepseekForCausalLM"; }

  std::vector<std::string> own_keys() const override { return expert_keys(); }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    config.qkv_bias = config.output_bias = keys.flag("attention_bias").value_or(false);
    SparseOptions own = read_experts(keys, config);
    own.experts.router.normalise = keys.flag("norm_topk_prob").value_or(false);
    if (keys.text("scoring_func").value_or("softmax") != "softmax") {
      keys.problem("scoring_func", "only softmax is supported");
    }
    config.own = own;
  }
};

}  // namespace

const Family& deepseek() {
  static const DeepSeek family;
  return family;
}

}  // namespace hone::model
