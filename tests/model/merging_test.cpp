#include "hone/model/pruned/merging.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "hone/model/adapter.h"
#include "hone/nn/moe.h"
#include "model/support.h"
#include "support/catch.h"

namespace hone::model {
namespace {

using Catch::Contains;

const nn::MoeImpl& moe_of(const Decoder& decoder, size_t layer) {
  return dynamic_cast<const nn::MoeImpl&>(*decoder->layers[layer]->mlp);
}

TEST_CASE("Merges are planned by the gates' masses, told, read and worked in") {
  Decoder decoder = test::small_decoder(test::v3_config());
  add_gates(decoder, {UnitKind::kExperts});
  measure(decoder, UnitKind::kExperts, nn::Importance::kOutputNorm);
  test::loss_of(decoder, test::random_input({9, 6}, 40)).backward();
  const Importances masses = importances(decoder, UnitKind::kExperts);
  Masks after = masks(decoder, UnitKind::kExperts);
  after[2] = {true, false, true, true, true, true};
  const ExpertMerges merges = plan_merges(decoder, masses, after);
  REQUIRE(merges.size() == 1);
  REQUIRE(merges.at(2).size() == 1);
  const nn::ExpertMerge& merge = merges.at(2)[0];
  CHECK(merge.from == 1);
  const double both = masses.at(2)[1] + masses.at(2)[static_cast<size_t>(merge.into)];
  CHECK(merge.share == Approx(masses.at(2)[1] / both));
  const ExpertMerges again = merges_from_json(merges_json(merges));
  CHECK(merges_json(again) == merges_json(merges));
  CHECK(again.at(2)[0].share == merge.share);

  const at::Tensor before = moe_of(decoder, 2).experts->down_proj.detach().clone();
  const at::Tensor other = moe_of(decoder, 1).experts->down_proj.detach().clone();
  merge_experts(decoder, merges);
  const at::Tensor now = moe_of(decoder, 2).experts->down_proj;
  for (int64_t e = 0; e < 6; ++e) CHECK(now[e].equal(before[e]) == (e != merge.into));
  CHECK(moe_of(decoder, 1).experts->down_proj.equal(other));
}

TEST_CASE("Merges that cannot be are named, and change nothing") {
  Decoder decoder = test::small_decoder(test::v3_config());
  const at::Tensor before = moe_of(decoder, 1).experts->down_proj.detach().clone();
  const auto merge = [&](const ExpertMerges& merges) { merge_experts(decoder, merges); };
  CHECK_THROWS_WITH(merge({{0, {{1, 2, 0.5}}}}),
                    Contains("layer 0 is not there or has no experts"));
  CHECK_THROWS_WITH(merge({{1, {{0, 1, 0.5}}}, {2, {{6, 1, 0.5}}}}),
                    Contains("expert 6 cannot go into 1 of layer 2's 6 with a share of 0.5"));
  CHECK_THROWS_AS(merge({{1, {{2, 2, 0.5}}}}), Error);
  CHECK_THROWS_AS(merge({{1, {{2, -1, 0.5}}}}), Error);
  CHECK_THROWS_AS(merge({{1, {{2, 3, -0.5}}}}), Error);
  CHECK_THROWS_AS(merge({{1, {{2, 3, 0.6}, {4, 3, 0.6}}}}), Error);
  CHECK(moe_of(decoder, 1).experts->down_proj.equal(before));
  add_lora(decoder, {.target_parameters = {"experts.down_proj"}}, 1);
  CHECK_THROWS_WITH(merge({{1, {{2, 3, 0.6}}}}), Contains("of layer 1 carry adapters"));
}

}  // namespace
}  // namespace hone::model
