#include "hone/run/calibration_text.h"

#include <torch/types.h>

#include <memory>

#include "support/catch.h"

namespace hone::run {
namespace {

data::DatasetPtr documents(int64_t count, int64_t length, int64_t id) {
  auto set = std::make_shared<data::Dataset>();
  for (int64_t i = 0; i < count; ++i) {
    const std::vector<int64_t> ids(length, id);
    set->examples.push_back({ids, ids, {}});
  }
  return set;
}

TEST_CASE("calibration_text: takes of each set in turn, in batches no longer than a run's") {
  const auto text = calibration_text({documents(9, 4, 1), documents(2, 4, 2)}, 22, 10, at::kCPU);
  int64_t ones = 0, twos = 0;
  for (const model::DecoderInput& input : text) {
    CHECK(input.ids.size(0) <= 10);
    ones += input.ids.eq(1).sum().item<int64_t>();
    twos += input.ids.eq(2).sum().item<int64_t>();
  }
  CHECK(ones == 16);
  CHECK(twos == 8);
  CHECK(calibration_text({documents(2, 3, 1)}, 1000, 10, at::kCPU).front().ids.size(0) == 6);
  CHECK(calibration_text({}, 10, 10, at::kCPU).empty());
}

}  // namespace
}  // namespace hone::run
