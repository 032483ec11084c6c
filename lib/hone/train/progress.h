/// The lines a user watches, and the rows of metrics.jsonl.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "hone/core/json.h"

namespace hone::train {

struct StepStats;
struct Evaluation;

/// Smooths loss and speed and writes a line every `log_every` steps.
class Progress {
 public:
  /// `first_step` is where the phase's steps begin in the run's count, which the lines show; `word`
  /// is what they call one.
  Progress(int64_t steps, int64_t log_every, int64_t first_step = 0, std::string word = "step")
      : steps_(steps), log_every_(log_every), first_step_(first_step), word_(std::move(word)) {}

  /// Adds a step that took `seconds`; gives the line to show, if one is due: loss, what is told
  /// `beside` it, lr, gradient norm, tokens/s of the last log_every steps (of this process) and
  /// time left at that pace, in 80 columns (gradient norm and lr give way where it would be
  /// longer).
  std::optional<std::string> add(const StepStats& stats, double seconds,
                                 const std::string& beside = "");

  /// Mean loss of the last log_every steps that were not skipped; NaN before the first.
  double recent_loss() const;

  /// The losses that recent_loss() averages, for checkpoints.
  const std::deque<double>& losses() const { return losses_; }
  void set_losses(std::deque<double> losses) { losses_ = std::move(losses); }

 private:
  int64_t steps_;
  int64_t log_every_;
  int64_t first_step_;
  std::string word_;
  int64_t steps_here_ = 0;
  std::deque<double> losses_;
  std::deque<std::pair<int64_t, double>> pace_;  ///< tokens and seconds of the last steps
};

/// A row of metrics.jsonl; the step took `seconds`. All but "tokens_per_second", which is the
/// step's own, repeats exactly when a run is repeated.
Json step_row(const StepStats& stats, int64_t first_step, double seconds);
Json evaluation_row(const Evaluation& evaluation);

/// "step 100: held-out perplexity  medical 12.310  general 30.120", on as many lines as 80 columns
/// make of it.
std::string describe(const Evaluation& evaluation);

}  // namespace hone::train
