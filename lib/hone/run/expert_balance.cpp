#include "hone/run/expert_balance.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <numeric>

#include "hone/core/error.h"
#include "hone/data/batch.h"
#include "hone/model/decoder.h"
#include "hone/run/config.h"
#include "hone/run/decoder_step.h"
#include "hone/train/controllers/controller_board.h"
#include "hone/train/loop.h"

namespace hone::run {
namespace {

/// What each expert does, over the mean.
std::vector<double> shares(const nn::ExpertLoad& load) {
  const auto sum = std::accumulate(load.counts.begin(), load.counts.end(), int64_t{0});
  const double mean = static_cast<double>(sum) / static_cast<double>(load.counts.size());
  std::vector<double> shares;
  for (const int64_t count : load.counts) {
    shares.push_back(sum > 0 ? static_cast<double>(count) / mean : 0);
  }
  return shares;
}

/// Of the most used expert.
double imbalance(const nn::ExpertLoad& load) {
  const std::vector<double> all = shares(load);
  return *std::max_element(all.begin(), all.end());
}

bool has_bias(const std::pair<int64_t, nn::MoeImpl*>& layer) {
  return layer.second->router->options.bias;
}

int64_t alive(const nn::ExpertLoad& load) {
  return std::count_if(load.counts.begin(), load.counts.end(), [](int64_t n) { return n > 0; });
}

}  // namespace

std::vector<std::pair<int64_t, nn::MoeImpl*>> ExpertBalance::layers() const {
  std::vector<std::pair<int64_t, nn::MoeImpl*>> layers;
  const std::vector<int64_t> numbers = model::layer_numbers(run_->decoder->config());
  const auto add = [&layers](int64_t number, nn::DecoderBlock block) {
    auto* moe = dynamic_cast<nn::MoeImpl*>(block->mlp.get());
    if (moe) layers.emplace_back(number, moe);
  };
  for (size_t i = 0; i < numbers.size(); ++i) add(numbers[i], run_->decoder->layers[i]);
  for (const model::MultiTokenLayer& layer : run_->decoder->multi_token) {
    add(layer.number, layer.block);
  }
  return layers;
}

void ExpertBalance::open(ReadyRun& run) {
  run_ = &run;
  const auto with_experts = layers();
  if (with_experts.empty() && (options_.bias_rate > 0 || options_.balance_loss > 0)) {
    throw Error("experts: the model has none");
  }
  if (options_.bias_rate > 0 && std::none_of(with_experts.begin(), with_experts.end(), has_bias)) {
    throw Error("experts.bias_rate: the model's routers have no bias; use balance_loss");
  }
}

void ExpertBalance::attach(train::Task& task, optim::Optimizer&) {
  if (layers().empty()) return;
  task.loss = [this, loss = task.loss](const data::Batch& batch) {
    if (options_.balance_loss > 0) prepare(batch);
    return loss(batch);
  };
  task.after_step = [this](const train::StepStats& stats) {
    take_loads();
    shares_due_ = stats.step % run_->config.train.log_every == 0;
    if (options_.bias_rate > 0 && !stats.skipped) move_biases();
  };
  task.extra_metrics = [this, others = task.extra_metrics] {
    Json all = others ? others() : Json::object();
    all.update(row());
    return all;
  };
  if (!task.board) return;
  task.measure = [this, measure = task.measure](const train::StepStats& stats,
                                                train::Signals& signals) {
    if (measure) measure(stats, signals);
    for (const auto& [layer, load] : loads_) {
      signals.set("expert_load/" + std::to_string(layer), imbalance(load));
      signals.set("experts_alive/" + std::to_string(layer), static_cast<double>(alive(load)));
    }
  };
  const auto with_experts = layers();
  if (std::none_of(with_experts.begin(), with_experts.end(), has_bias)) return;
  task.board->knobs().add("expert_bias_rate",
                          {[this] { return options_.bias_rate; },
                           [this](const Json& v) { options_.bias_rate = v.get<double>(); }});
}

void ExpertBalance::prepare(const data::Batch& batch) const {
  const nn::Balance balance{.factor = options_.balance_loss * run_->step.weight(batch),
                            .documents = kernels::Sequences::from_offsets(
                                options_.balance_over == BalanceOver::kDocument
                                    ? batch.offsets
                                    : std::vector<int64_t>{0, batch.offsets.back()},
                                at::kCPU)};
  for (const auto& [number, moe] : layers()) {
    if (moe->router->options.hashed == 0) moe->balance = balance;
  }
}

void ExpertBalance::take_loads() {
  loads_.clear();
  for (const auto& [number, moe] : layers()) loads_[number] = moe->take_load();
}

void ExpertBalance::move_biases() const {
  const torch::NoGradGuard no_grad;
  for (const auto& layer : layers()) {
    if (!has_bias(layer)) continue;
    const auto& [number, moe] = layer;
    const at::Tensor counts = torch::tensor(loads_.at(number).counts, at::kDouble);
    const at::Tensor off = moe->gate ? moe->gate->off() : at::Tensor();
    const auto alive = static_cast<double>(moe->gate ? moe->gate->alive() : moe->units());
    at::Tensor direction = (counts.sum() / alive - counts).sign();
    if (off.defined()) direction.masked_fill_(off.cpu(), 0);
    at::Tensor& bias = moe->router->e_score_correction_bias;
    bias.add_(direction.to(bias.options()), options_.bias_rate);
  }
}

Json ExpertBalance::row() const {
  Json row = Json::object();
  double balance = 0;
  for (const auto& [number, load] : loads_) {
    const std::string layer = std::to_string(number);
    row["expert_load"][layer] = imbalance(load);
    row["experts_alive"][layer] = alive(load);
    if (shares_due_) row["expert_share"][layer] = shares(load);
    if (load.passes > 0) balance += load.balance / static_cast<double>(load.passes);
  }
  if (options_.balance_loss > 0) row["balance_loss"] = balance;
  return row;
}

void ExpertBalance::report(const EndedRun&, Json& report) {
  for (const auto& [number, load] : loads_) {
    report["experts"][std::to_string(number)] = {
        {"load", imbalance(load)}, {"alive", alive(load)}, {"counts", load.counts}};
  }
}

Json ExpertBalance::save() const {
  Json counts = Json::object();
  for (const auto& [number, load] : loads_) counts[std::to_string(number)] = load.counts;
  return {{"counts", counts}, {"bias_rate", options_.bias_rate}};
}

void ExpertBalance::load(const Json& state) {
  if (state.is_null()) return;  // of a run that was begun before there was this part
  options_.bias_rate = state.at("bias_rate").get<double>();
  for (const auto& [layer, counts] : state.at("counts").items()) {
    loads_[std::stoll(layer)].counts = counts.get<std::vector<int64_t>>();
  }
}

}  // namespace hone::run
