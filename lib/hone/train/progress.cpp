#include "hone/train/progress.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "hone/core/hardware.h"
#include "hone/train/trainer.h"

namespace hone::train {

std::optional<std::string> Progress::add(const StepStats& stats, int64_t tokens,
                                         int64_t tokens_here, double seconds) {
  ++steps_here_;
  if (!stats.skipped) losses_.push_back(stats.loss);
  if (static_cast<int64_t>(losses_.size()) > log_every_) losses_.pop_front();
  if (stats.step % log_every_ != 0 && stats.step != steps_ && steps_here_ != 1) return std::nullopt;
  const double left = seconds / steps_here_ * static_cast<double>(steps_ - stats.step);
  return fmt::format(
      "step {}/{}  loss {:.4f}  lr {:.2e}  grad {:.3f}  {:.0f} tokens/s  {} tokens  memory {}  "
      "left {}",
      first_step_ + stats.step, first_step_ + steps_, recent_loss(), stats.lr, stats.grad_norm,
      static_cast<double>(tokens_here) / seconds, tokens, format_bytes(resident_bytes()),
      format_duration(left));
}

double Progress::recent_loss() const {
  if (losses_.empty()) return std::nan("");
  return std::accumulate(losses_.begin(), losses_.end(), 0.0) / static_cast<double>(losses_.size());
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}h {:02}m", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{}m {:02}s", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

std::string format_bytes(int64_t bytes) {
  const double mebibytes = static_cast<double>(bytes) / (1 << 20);
  if (mebibytes >= 1024) return fmt::format("{:.1f} GiB", mebibytes / 1024);
  return fmt::format("{:.0f} MiB", mebibytes);
}

Json step_row(const StepStats& stats, int64_t first_step, double tokens_per_second) {
  // JSON has no NaN: a skipped step has null where a number would not be finite.
  const auto number = [](double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
  };
  Json row = {{"step", first_step + stats.step},
              {"loss", number(stats.loss)},
              {"lr", stats.lr},
              {"grad_norm", number(stats.grad_norm)},
              {"tokens", stats.tokens},
              {"tokens_per_second", tokens_per_second}};
  if (stats.skipped) row["skipped"] = true;
  return row;
}

Json evaluation_row(const Evaluation& evaluation) {
  return {{"step", evaluation.step}, {"evaluation", scores_json(evaluation.scores)}};
}

std::string describe(const Evaluation& evaluation) {
  std::string text = fmt::format("step {}: held-out perplexity", evaluation.step);
  for (const Score& score : by_domain(evaluation.scores)) {
    text += fmt::format("  {} {:.3f}", score.domain, score.perplexity());
  }
  return text;
}

}  // namespace hone::train
