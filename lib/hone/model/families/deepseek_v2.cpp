// DeepSeek-V2, V2-Lite, Coder-V2 and V2.5.
#include "hone/model/families/latent.h"

namespace hone::model {
namespace {

class DeepSeekV2 final : public LatentFamily {
  std::vector<const char*> names() const override { return {"deepseek_v2"}; }
  const char* architecture() const override { return "DeepseekV2ForCausalLM"; }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    config.mlp_bias = keys.flag("mlp_bias").value_or(false);
    require_said(keys, {"n_shared_experts"});
    SparseOptions own = read_experts(keys, config);
    own.mla = read_attention(keys, config);
    if (keys.text("scoring_func").value_or("softmax") != "softmax") {
      keys.problem("scoring_func", "only softmax is supported");
    }
    if (keys.flag("norm_topk_prob").value_or(false)) {
      keys.problem("norm_topk_prob",
                   "true is not supported: transformers ignores it, DeepSeek's code does not, and "
                   "no released model sets it");
    }
    const std::string method = keys.text("topk_method").value_or("greedy");
    if (method == "group_limited_greedy") {
      read_groups(keys, /*top=*/1, own.experts.router);
    } else if (method != "greedy") {
      keys.problem("topk_method",
                   "supported are greedy and group_limited_greedy, got \"" + method + "\"");
    }
    config.own = own;
  }
};

}  // namespace

const Family& deepseek_v2() {
  static const DeepSeekV2 family;
  return family;
}

}  // namespace hone::model
