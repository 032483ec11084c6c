#include "hone/model/sensitivity.h"

#include <torch/types.h>

#include <algorithm>

#include "hone/model/rounding_quality.h"
#include "hone/nn/linear.h"

namespace hone::model {

std::vector<Sensitivity> sensitivities(Decoder& decoder, const QuantisedLayers& layers,
                                       const std::vector<DecoderInput>& text) {
  const at::NoGradGuard no_grad;
  decoder->eval();
  set_rounding(*decoder, std::nullopt);
  const std::vector<NamedLinear> linears = quantised_linears(*decoder, layers);
  std::vector<RoundingQuality> found(linears.size());
  for (const DecoderInput& input : text) {
    const at::Tensor exact = decoder->hidden(input);
    for (size_t i = 0; i < linears.size(); ++i) {
      linears[i].layer->set_rounding(layers.spec);
      found[i].add(exact, decoder->hidden(input), decoder->lm_weight());
      linears[i].layer->set_rounding(std::nullopt);
    }
  }
  std::vector<Sensitivity> rows;
  for (size_t i = 0; i < linears.size(); ++i) {
    rows.push_back({linears[i].name, found[i].mean_divergence(), found[i].p99_divergence()});
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Sensitivity& a, const Sensitivity& b) { return a.mean > b.mean; });
  return rows;
}

}  // namespace hone::model
