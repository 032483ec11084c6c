// DeepSeek-V3, V3.1 and R1.
#include "hone/model/families/latent.h"

namespace hone::model {
namespace {

class DeepSeekV3 final : public LatentFamily {
  std::vector<const char*> names() const override { return {"deepseek_v3"}; }
  const char* architecture() const override { return "DeepseekV3ForCausalLM"; }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    require_said(keys, {"n_shared_experts", "first_k_dense_replace", "routed_scaling_factor",
                        "n_group", "topk_group"});
    SparseOptions own = read_experts(keys, config);
    own.mla = read_attention(keys, config);
    if (!keys.flag("rope_interleave").value_or(true)) {
      own.mla.pairs = kernels::RotaryPairs::kHalves;
    }
    for (const auto& [key, known] :
         {std::pair{"scoring_func", "sigmoid"}, {"topk_method", "noaux_tc"}}) {
      if (const auto text = keys.text(key); text.value_or(known) != known) {
        keys.problem(key, "only " + std::string(known) + " is supported, got \"" + *text + "\"");
      }
    }
    nn::RouterOptions& router = own.experts.router;
    router.scoring = nn::Scoring::kSigmoid;
    router.bias = true;
    router.normalise = keys.flag("norm_topk_prob").value_or(true);
    read_groups(keys, /*top=*/2, router);
    config.own = own;
  }
};

}  // namespace

const Family& deepseek_v3() {
  static const DeepSeekV3 family;
  return family;
}

}  // namespace hone::model
