#include "hone/run/side_loss.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "hone/train/controllers/signals.h"
#include "hone/train/loop.h"

namespace hone::run {

void SideLoss::attach(train::Task& task, int64_t log_every,
                      std::function<std::optional<double>()> take) {
  task.after_step = [this, log_every, take = std::move(take),
                     others = task.after_step](const train::StepStats& stats) {
    if (others) others(stats);
    last_ = take();
    if (last_ && !std::isfinite(*last_)) last_.reset();
    if (last_ && !stats.skipped) recent_.push_back(*last_);
    if (std::ssize(recent_) > log_every) recent_.pop_front();
  };
  task.extra_metrics = [this, others = task.extra_metrics] {
    Json row = others ? others() : Json::object();
    if (last_) row["losses"][name_] = *last_;
    return row;
  };
  task.beside = [this, others = task.beside] {
    const std::string text = others ? others() : "";
    const auto now = mean();
    return now ? fmt::format("{}{}{} {:.4f}", text, text.empty() ? "" : "  ", name_, *now) : text;
  };
  if (!task.board) return;
  task.measure = [this, others = task.measure](const train::StepStats& stats,
                                               train::Signals& signals) {
    if (others) others(stats, signals);
    if (last_) signals.set("losses/" + name_, *last_);
  };
}

std::optional<double> SideLoss::mean() const {
  if (recent_.empty()) return std::nullopt;
  return std::accumulate(recent_.begin(), recent_.end(), 0.0) / static_cast<double>(recent_.size());
}

}  // namespace hone::run
