// DeepSeek-V3, V3.1 and R1.
#include "hone/model/families/latent.h"

namespace hone::model {
namespace {

class DeepSeekV3 final : public LatentFamily {
  std::vector<const char*> names() const override { return {"deepseek_v3"}; }
  const char* architecture() const override { return "DeepseekV3ForCausalLM"; }

  std::vector<std::string> own_keys() const override {
    std::vector<std::string> keys = LatentFamily::own_keys();
    keys.push_back("num_nextn_predict_layers");
    return keys;
  }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    SparseOptions own = read_v3(keys, config);
    if (!keys.flag("rope_interleave").value_or(true)) {
      own.mla.pairs = kernels::RotaryPairs::kHalves;
    }
    config.own = own;
  }
};

}  // namespace

const Family& deepseek_v3() {
  static const DeepSeekV3 family;
  return family;
}

}  // namespace hone::model
