#include "hone/run/epochs.h"

#include "hone/run/cache.h"
#include "hone/run/data.h"
#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

namespace {

/// Steps that a recipe plans, with what its loader counted as batches of one pass.
struct Planned {
  int64_t steps, batches_a_pass;

  Planned(const test::RecipeFolder& folder, const Json& changes) {
    const Config config = folder.config(changes);
    Cache cache;
    const RunTokenizer tokenizer = cache.tokenizer(config);
    const auto train = load_data(config, tokenizer, cache).train;
    steps = planned_steps(config, *make_loader(config, tokenizer, train));
    batches_a_pass = make_loader(config, tokenizer, train)->count_batches(1, 0);
  }
};

}  // namespace

TEST_CASE("Without epochs the steps are the recipe's") {
  CHECK(Planned(test::RecipeFolder(), {{"train", {{"steps", 17}, {"accumulation", 3}}}}).steps ==
        17);
}

TEST_CASE("Epochs are as many batches as the loader takes, in whole steps") {
  const test::RecipeFolder folder;
  const auto planned = [&](double epochs, int64_t accumulation) {
    return Planned(folder, {{"data", {{"tokens_per_batch", 16}}},
                            {"train", {{"epochs", epochs}, {"accumulation", accumulation}}}});
  };
  const Planned one = planned(1, 1);
  REQUIRE(one.batches_a_pass >= 3);
  CHECK(one.steps == one.batches_a_pass);
  CHECK(planned(2, 1).steps >= 2 * one.steps - 1);
  CHECK(planned(1, one.steps).steps == 1);
  CHECK(planned(1, one.steps - 1).steps == 2);  // the last one is filled up
  CHECK(planned(1, 1000).steps == 1);
}

TEST_CASE("The loader draws from the recipe's seed and batch size") {
  const test::RecipeFolder folder;
  const auto first_batch = [&](int64_t seed, int64_t tokens) {
    const Config config = folder.config({{"seed", seed}, {"data", {{"tokens_per_batch", tokens}}}});
    Cache cache;
    const RunTokenizer tokenizer = cache.tokenizer(config);
    const auto loader = make_loader(config, tokenizer, load_data(config, tokenizer, cache).train);
    std::vector<int64_t> ids;
    for (int i = 0; i < 8; ++i) {
      const data::Batch batch = loader->next();
      CHECK(batch.tokens() <= tokens);
      ids.insert(ids.end(), batch.input_ids.begin(), batch.input_ids.end());
    }
    return ids;
  };
  CHECK(first_batch(1, 16) == first_batch(1, 16));
  CHECK(first_batch(1, 16) != first_batch(2, 16));
}

TEST_CASE("Epochs in words") {
  Config config;
  config.train.steps = 118;
  config.train.epochs = 2;
  CHECK(describe_epochs(config) == "2 epochs = 118 steps");
  config.train.epochs = 1;
  CHECK(describe_epochs(config) == "1 epoch = 118 steps");
  config.train.epochs = 0.5;
  CHECK(describe_epochs(config) == "0.5 epochs = 118 steps");
}
