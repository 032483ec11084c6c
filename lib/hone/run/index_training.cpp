#include "hone/run/index_training.h"

#include <torch/types.h>

#include "hone/model/decoder.h"
#include "hone/run/config.h"
#include "hone/run/decoder_step.h"
#include "hone/train/loop.h"

namespace hone::run {

void IndexTraining::open(ReadyRun& run) {
  run_ = &run;
  run.decoder->set_index_learning(options_.train);
}

void IndexTraining::attach(train::Task& task, optim::Optimizer&) {
  run_->step.set_index_weight(options_.weight);
  loss_.attach(task, run_->config.train.log_every, [this] { return take(); });
  task.extra_metrics = [this, others = task.extra_metrics] {
    Json row = others();
    for (const auto& [layer, loss] : layers_) row["indexer_loss"][std::to_string(layer)] = loss;
    return row;
  };
}

std::optional<double> IndexTraining::take() {
  const at::Tensor losses = run_->step.take_index_losses();
  double sum = 0;
  int64_t row = 0;
  for (const auto& [number, indexer] : run_->decoder->indexers()) {
    const double mean = losses[row][0].item<double>() / losses[row][1].item<double>();
    layers_[number] = mean;
    sum += mean;
    ++row;
  }
  return sum / static_cast<double>(row);
}

void IndexTraining::report(const EndedRun&, Json& report) {
  if (const auto loss = loss_.mean()) {
    report["indexer"] = {{"stage", enum_name(options_.train)}, {"loss", *loss}};
  }
}

}  // namespace hone::run
