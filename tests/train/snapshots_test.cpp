#include "hone/train/snapshots.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <memory>

#include "hone/optim/adamw.h"
#include "support/allocations.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::train;

namespace {

constexpr int64_t kNumbers = 1 << 16;

}  // namespace

TEST_CASE("A snapshot taken anew is written into the memory of the old one") {
  const at::Tensor weight = at::ones({kNumbers}).requires_grad_();
  optim::FusedAdamW optimizer({{"weight", weight}}, {});
  Snapshots snapshots(optimizer);
  snapshots.take("spike-0", 1);
  {
    const torch::NoGradGuard no_grad;
    weight.fill_(2);
  }
  const auto counter = std::make_shared<test::AllocationCounter>();
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
    snapshots.take("spike-0", 5);
  }
  CHECK(counter->peak() == 0);
  CHECK(snapshots.step("spike-0") == 5);
  {
    const torch::NoGradGuard no_grad;
    weight.fill_(3);
  }
  CHECK(snapshots.restore("spike-0") == 5);
  CHECK(at::equal(weight, at::full({kNumbers}, 2.F)));
}

TEST_CASE("A snapshot of parameters that were cut is freed before the new one is made") {
  const auto counter = std::make_shared<test::AllocationCounter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
  const at::Tensor weight = at::ones({kNumbers}).requires_grad_();
  optim::FusedAdamW optimizer({{"weight", weight}}, {});
  Snapshots snapshots(optimizer);
  snapshots.take("best", 1);
  const at::Tensor half = at::ones({kNumbers / 2}).requires_grad_();
  optimizer.cut("weight", half, 0, at::arange(kNumbers / 2));
  counter->restart();
  const int64_t before = counter->now();
  snapshots.refresh(4);
  CHECK(counter->peak() == before);
  CHECK(counter->now() < before);
  CHECK(snapshots.step("best") == 4);
}
