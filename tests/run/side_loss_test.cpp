#include "hone/run/side_loss.h"

#include <limits>
#include <vector>

#include "hone/train/loop.h"
#include "support/catch.h"

namespace hone::run {
namespace {

TEST_CASE("A side loss is in each row that has one, and its mean of late in progress lines") {
  std::vector<std::optional<double>> losses = {1, 2, std::nullopt,
                                               std::numeric_limits<double>::infinity(), 6};
  SideLoss first("kl"), second("other");
  train::Task task;
  int before = 0;
  task.after_step = [&](const train::StepStats&) { ++before; };
  task.extra_metrics = [] { return Json{{"shares", 1}}; };
  size_t next = 0;
  first.attach(task, 2, [&] { return losses[next++]; });
  second.attach(task, 2, [] { return std::optional(0.5); });
  CHECK(task.beside() == "");
  std::vector<Json> rows;
  std::vector<std::string> lines;
  for (int64_t step = 1; step <= 5; ++step) {
    task.after_step({.step = step, .skipped = step == 5});
    rows.push_back(task.extra_metrics());
    lines.push_back(task.beside());
  }
  CHECK(before == 5);
  CHECK(rows[0] == Json{{"shares", 1}, {"losses", {{"kl", 1.0}, {"other", 0.5}}}});
  CHECK_FALSE(rows[2].at("losses").contains("kl"));
  CHECK_FALSE(rows[3].at("losses").contains("kl"));  // JSON has no infinity
  CHECK(rows[4].at("losses").at("kl") == 6.0);
  CHECK(lines[0] == "kl 1.0000  other 0.5000");
  CHECK(lines[1] == "kl 1.5000  other 0.5000");
  CHECK(lines[4] == lines[1]);  // a skipped step counts for none
  SideLoss again("kl");
  CHECK_FALSE(again.mean());
  again.restore(first.state());
  CHECK(again.mean() == 1.5);
}

}  // namespace
}  // namespace hone::run
