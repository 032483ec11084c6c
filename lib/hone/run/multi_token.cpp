#include "hone/run/multi_token.h"

#include <torch/types.h>

#include "hone/run/config.h"
#include "hone/run/decoder_step.h"
#include "hone/train/controllers/controller_board.h"
#include "hone/train/loop.h"

namespace hone::run {

void MultiToken::attach(train::Task& task, optim::Optimizer&) {
  run_->step.set_multi_token(options_.weight);
  loss_.attach(task, run_->config.train.log_every, [this] { return take(); });
  if (!task.board) return;
  task.board->knobs().add("multi_token_weight",
                          {[this] { return run_->step.multi_token(); },
                           [this](const Json& v) { run_->step.set_multi_token(v.get<double>()); }});
}

std::optional<double> MultiToken::take() const {
  const at::Tensor sums = run_->step.take_multi_token();
  double mean = 0;
  int64_t depths = 0;
  for (int64_t depth = 0; depth < sums.size(0); ++depth) {
    const double weight = sums[depth][1].item<double>();
    if (!(weight > 0)) continue;
    mean += sums[depth][0].item<double>() / weight;
    ++depths;
  }
  return depths > 0 ? std::optional(mean / static_cast<double>(depths)) : std::nullopt;
}

void MultiToken::report(const EndedRun&, Json& report) {
  if (!run_) return;  // interrupted before
  const auto loss = loss_.mean();
  report["multi_token"] = {{"loss", loss ? Json(*loss) : Json()},
                           {"weight", run_->step.multi_token()}};
}

Json MultiToken::save() const {
  return {{"recent", loss_.state()}, {"weight", run_->step.multi_token()}};
}

void MultiToken::load(const Json& state) {
  loss_.restore(state.at("recent"));
  run_->step.set_multi_token(state.at("weight").get<double>());
}

}  // namespace hone::run
