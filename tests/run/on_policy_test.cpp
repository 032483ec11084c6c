#include "hone/run/on_policy.h"

#include <torch/types.h>

#include <algorithm>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/infer/generate.h"
#include "hone/run/decoder_step.h"
#include "hone/run/plan.h"
#include "run/distillation_fixture.h"
#include "run/run_fixture.h"
#include "support/catch.h"

namespace hone::run {
namespace {

using Catch::Contains;
using test::Runs, test::distilled;

constexpr int64_t kNone = data::kIgnoreIndex;

/// A document with a prompt of three, one of plain text, one with nothing behind its prompt.
data::Batch mixed() {
  data::Batch batch;
  batch.append({{1, 2, 3, 4, 5, 6}, {kNone, kNone, 4, 5, 6, kNone}, {1, 1, 1, 1, 1, 1}});
  batch.append({{1, 7, 8, 9, 10, 11, 12}, {7, 8, 9, 10, 11, 12, kNone}, std::vector<float>(7, 1)});
  batch.append({{1, 2}, {kNone, kNone}, {1, 1}});
  return batch;
}

TEST_CASE("OnPolicy: the student goes on where its part begins") {
  const test::SmallRun run(model::test::small_config());
  OnPolicy on_policy({.share = 1, .min_prompt = 2, .max_new_tokens = 3}, run.decoder, run.text, 5);
  const data::Batch own = on_policy.next(mixed(), *run.step);
  CHECK(on_policy.written());
  CHECK(on_policy.take_share() == 1);
  REQUIRE(own.documents() == 2);
  const std::vector<int64_t> prompts = {3, 2}, rooms = {3, 3};
  for (int64_t d = 0; d < 2; ++d) {
    const int64_t begin = own.offsets[d], end = own.offsets[d + 1], length = end - begin;
    CHECK((length > prompts[d] && length <= prompts[d] + rooms[d]));
    for (int64_t i = begin; i < end; ++i) {
      const bool wrote = i + 1 - begin >= prompts[d] && i + 1 < end;
      CHECK(own.targets[i] == (wrote ? own.input_ids[i + 1] : kNone));
    }
  }
  CHECK(std::equal(own.input_ids.begin(), own.input_ids.begin() + 3, mixed().input_ids.begin()));
  // As generate() has it, of the same seed.
  OnPolicy again({.share = 1, .min_prompt = 2, .max_new_tokens = 3}, run.decoder, run.text, 5);
  CHECK(again.next(mixed(), *run.step) == own);
  CHECK_FALSE(again.next(mixed(), *run.step) == own);
  again.restore(0);
  CHECK(again.next(mixed(), *run.step) == own);
}

TEST_CASE("OnPolicy: its share of the batches is the recipe's") {
  const test::SmallRun run(model::test::small_config());
  OnPolicy on_policy({.share = 0.3, .max_new_tokens = 1}, run.decoder, run.text, 5);
  for (int i = 0; i < 200; ++i) {
    const data::Batch batch = on_policy.next(mixed(), *run.step);
    CHECK((batch == mixed()) != on_policy.written());
  }
  CHECK(on_policy.take_share() == Approx(0.3).margin(0.1));
  data::Batch prompts;
  prompts.append({{1, 2}, {kNone, kNone}, {1, 1}});
  OnPolicy always({.share = 1}, run.decoder, run.text, 5);
  CHECK(always.next(prompts, *run.step) == prompts);
  CHECK_FALSE(always.written());
}

TEST_CASE("A student learns from what its teacher says of its own text, and goes on with it") {
  const Runs runs;
  runs.model("teacher", 5);
  const Json recipe = distilled({{"on_policy", {{"share", 0.6}, {"max_new_tokens", 6}}}});
  const Report whole = runs.run(recipe, "whole");
  runs.go_on(recipe, "whole", "part");
  CHECK(runs.head("whole").equal(runs.head("part")));
  CHECK(runs.column("whole", "on_policy") == runs.column("part", "on_policy"));
  runs.run(distilled({}), "without");
  CHECK_FALSE(runs.head("whole").equal(runs.head("without")));
  const auto shares = runs.column("whole", "on_policy");
  CHECK(std::count(shares.begin(), shares.end(), 1.0) > 0);
  // Of its own text the loss is the divergence alone.
  const auto loss = runs.column("whole", "loss"), divergence = runs.column("whole", "divergence");
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] == 1) CHECK(loss[i] == Approx(divergence[i]).epsilon(1e-5));
  }
}

TEST_CASE("What the student writes needs a teacher, and memory") {
  const Runs runs;
  runs.model("teacher", 5);
  CHECK_THROWS_WITH(
      runs.config(runs.student(
          distilled({{"teacher", nullptr}, {"cache", "there"}, {"on_policy", {{"share", 0.5}}}}))),
      Contains("on_policy: a cache knows nothing of other text"));
  CHECK_THROWS_WITH(runs.config(runs.student(distilled({{"on_policy", {{"min_prompt", 5}}}}))),
                    Contains("on_policy/min_prompt: has no effect with share 0"));
  const auto peak = [&](double share) {
    const Json options = {{"on_policy", {{"share", share}}}};
    return make_plan(runs.config(runs.student(distilled(options)))).memory.peak;
  };
  CHECK(peak(0.5) > peak(0));
}

}  // namespace
}  // namespace hone::run
