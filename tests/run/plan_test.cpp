#include "hone/run/plan.h"

#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

TEST_CASE("Snapshots count in a run's peak, each as the weights that train and their state") {
  const test::RecipeFolder folder;
  const auto plan = [config = folder.config()](int64_t snapshots) {
    return make_plan(config, nullptr, "", {.snapshots = snapshots});
  };
  const Plan none = plan(0), two = plan(2);
  const int64_t bytes = 2 * (none.memory.gradients + none.memory.optimizer_states);
  CHECK(two.memory.peak == none.memory.peak + bytes);
  CHECK(two.process_bytes == none.process_bytes + bytes);
  CHECK_THAT(two.text, Catch::Contains("2 snapshots"));
  CHECK_THAT(none.text, !Catch::Contains("snapshots"));
}
