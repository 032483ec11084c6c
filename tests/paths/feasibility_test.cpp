#include "hone/paths/static/feasibility.h"

#include "hone/model/cost.h"
#include "paths/search_fixture.h"
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

TEST_CASE("Numbers and sizes of experts are judged: what cannot be, and what is too large") {
  const test::SearchFolder folder;
  Json architecture = test::expert_architecture();
  architecture["num_hidden_layers"] = 2;
  const auto search = folder.search({{"base", {{"architecture", architecture}}}});
  run::Cache cache;
  const auto judged = [&](const std::string& key, double value, int64_t most) {
    const FeasibilityJudge judge(search.base, {.memory_share = 1, .max_parameters = most}, cache);
    return judge.judge({{"/architecture/" + key, value, tune::IntDistribution{1, 64}}});
  };
  const auto parameters = [&](const std::string& key, double value) {
    return judged(key, value, 1 << 20).facts.at(kParameters).get<int64_t>();
  };
  const int64_t base = parameters("n_routed_experts", 8), expert = 3 * 16 * 12;
  CHECK(parameters("n_routed_experts", 11) == base + 3 * (expert + 16));
  CHECK(parameters("moe_intermediate_size", 13) == base + 9 * 3 * 16);
  CHECK(parameters("kv_lora_rank", 9) == base + 2 * (16 + 1 + 2 * 12));
  CHECK(parameters("num_experts_per_tok", 3) == base);
  const auto flops = [&](double chosen) {
    return judged("num_experts_per_tok", chosen, 1 << 20).facts.at(kFlops).get<double>();
  };
  CHECK(flops(3) - flops(2) == flops(8) - flops(7));
  CHECK(flops(3) > flops(2));
  CHECK(judged("num_experts_per_tok", 9, 1 << 20)
            .reason.find("num_experts_per_tok: must be at most the 8 experts, got 9") !=
        std::string::npos);
  CHECK(judged("n_routed_experts", 8, base).reason.empty());
  CHECK(judged("n_routed_experts", 9, base).reason ==
        "parameters would be " + std::to_string(base + expert + 16) + ", over the limit of " +
            std::to_string(base));
}
