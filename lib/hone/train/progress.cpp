#include "hone/train/progress.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <numeric>
#include <vector>

#include "hone/train/loop.h"
#include "hone/view/format.h"

namespace hone::train {

namespace {

constexpr size_t kColumns = 80;

/// The fields in one line; where they do not fit, those named in `expendable` are left out, the
/// first of them first.
std::string fitted(std::vector<std::string> fields, std::initializer_list<size_t> expendable) {
  std::string line;
  for (auto next = expendable.begin();; ++next) {
    line = fmt::format("{}", fmt::join(fields, "  "));
    if (line.size() <= kColumns || next == expendable.end()) return line;
    fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(*next));
  }
}

}  // namespace

std::optional<std::string> Progress::add(const StepStats& stats, double seconds,
                                         const std::string& beside) {
  ++steps_here_;
  pace_.emplace_back(stats.tokens, seconds);
  if (static_cast<int64_t>(pace_.size()) > log_every_) pace_.pop_front();
  if (!stats.skipped) losses_.push_back(stats.loss);
  if (static_cast<int64_t>(losses_.size()) > log_every_) losses_.pop_front();
  if (stats.step % log_every_ != 0 && stats.step != steps_ && steps_here_ != 1) return std::nullopt;
  double recent_tokens = 0, recent_seconds = 0;
  for (const auto& [step_tokens, step_seconds] : pace_) {
    recent_tokens += static_cast<double>(step_tokens);
    recent_seconds += step_seconds;
  }
  const double left =
      recent_seconds / static_cast<double>(pace_.size()) * static_cast<double>(steps_ - stats.step);
  return fitted({fmt::format("{} {}/{}", word_, first_step_ + stats.step, first_step_ + steps_),
                 fmt::format("loss {:.4f}{}{}", recent_loss(), beside.empty() ? "" : "  ", beside),
                 fmt::format("lr {:.1e}", stats.lr), fmt::format("grad {:.3g}", stats.grad_norm),
                 fmt::format("{:.0f} tok/s", recent_tokens / recent_seconds),
                 fmt::format("left {}", view::format_duration(left))},
                {3, 2});
}

double Progress::recent_loss() const {
  if (losses_.empty()) return std::nan("");
  return std::accumulate(losses_.begin(), losses_.end(), 0.0) / static_cast<double>(losses_.size());
}

Json step_row(const StepStats& stats, int64_t first_step, double seconds) {
  // JSON has no NaN: a skipped step has null where a number would not be finite.
  const auto number = [](double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
  };
  Json row = {{"step", first_step + stats.step},
              {"loss", number(stats.loss)},
              {"lr", stats.lr},
              {"grad_norm", number(stats.grad_norm)},
              {"tokens", stats.tokens},
              {"tokens_per_second", number(static_cast<double>(stats.tokens) / seconds)}};
  if (stats.skipped) row["skipped"] = true;
  return row;
}

Json evaluation_row(const Evaluation& evaluation) {
  return {{"step", evaluation.step}, {"evaluation", scores_json(evaluation.scores)}};
}

std::string describe(const Evaluation& evaluation) {
  std::string text = fmt::format("step {}: held-out perplexity", evaluation.step);
  size_t columns = text.size();
  for (const Score& score : by_domain(evaluation.scores)) {
    const std::string value = fmt::format("  {} {:.3f}", score.domain, score.perplexity());
    if (columns + value.size() > kColumns) {
      text += "\n  ";
      columns = 2;
    }
    text += value;
    columns += value.size();
  }
  return text;
}

}  // namespace hone::train
