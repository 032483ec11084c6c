#include "hone/paths/static/feasibility.h"

#include "hone/model/cost.h"
#include "run/run_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::paths;

TEST_CASE("What a trial costs counts what pruning has left of its model") {
  const auto config = [](const Json& json) {
    return model::DecoderConfig::from_json(json, "test");
  };
  Json whole = test::pruned_config();
  whole.erase("hone_pruned");
  const double length = 20, tokens = 100;
  const auto flops = [&](const Json& json) {
    return model::Cost(config(json)).step_flops(tokens, length, /*frozen=*/false, /*every=*/0);
  };
  // By hand: a block of width 32, 4 heads and 2 key heads of 8, 48 channels, 6 of them and an
  // output of 40 rows; scores and mix over half of the positions.
  const double block = 32 * (4 * 8 * 2 + 2 * 8 * 2 + 3 * 48), scores = 2 * length * 4 * 8;
  CHECK(flops(whole) == tokens * 3 * (2 * (6 * block + 40 * 32) + 6 * scores));
  const double head = 32 * 8 * 2;  // of q_proj and o_proj; the key head is read by another one
  CHECK(flops(test::pruned_config()) ==
        tokens * 3 * (2 * (3 * block - head + 40 * 32) + 3 * scores - 2 * length * 8));
  CHECK(model::Cost(config(test::pruned_config())).parameters() ==
        3 * static_cast<int64_t>(block) - static_cast<int64_t>(head) + 3 * 64 + 32 + 2 * 40 * 32);
}
