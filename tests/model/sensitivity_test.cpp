#include "hone/model/sensitivity.h"

#include <torch/types.h>

#include <set>

#include "hone/model/rounding_quality.h"
#include "hone/nn/linear.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

TEST_CASE("sensitivities: each layer rounded alone, the worst first") {
  Decoder decoder = test::small_decoder();
  const QuantisedLayers layers{
      .spec = {.weight = {.bits = 4, .group = 8, .packed = true}, .inputs = {.rounds = false}},
      .ignore = {"re:.*v_proj"}};
  const std::vector<DecoderInput> text = {test::random_input({20, 9}, 40),
                                          test::random_input({12}, 40)};
  const auto rows = sensitivities(decoder, layers, text);
  REQUIRE(rows.size() == 3 * 6);
  const at::NoGradGuard no_grad;
  double last = rows.front().mean;
  std::set<std::string> names;
  for (const Sensitivity& row : rows) {
    INFO(row.name);
    CHECK((row.mean <= last && row.mean > 0 && row.p99 >= row.mean));
    last = row.mean;
    names.insert(row.name);
  }
  CHECK(names.size() == rows.size());
  for (const NamedLinear& linear : block_linears(*decoder)) {
    CHECK_FALSE(linear.layer->rounding());
    if (linear.name != rows.front().name) continue;
    RoundingQuality quality;
    for (const DecoderInput& input : text) {
      const at::Tensor exact = decoder->hidden(input);
      linear.layer->set_rounding(layers.spec);
      quality.add(exact, decoder->hidden(input), decoder->lm_weight());
      linear.layer->set_rounding(std::nullopt);
    }
    CHECK(rows.front().mean == quality.mean_divergence());
    CHECK(rows.front().p99 == quality.p99_divergence());
  }
}

}  // namespace
}  // namespace hone::model
