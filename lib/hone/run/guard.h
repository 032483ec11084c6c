/// The guard on general ability: acts when a held-out domain's perplexity worsens too far.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/run/config.h"
#include "hone/run/part.h"
#include "hone/train/evaluation.h"

namespace hone::run {

/// Compares the guarded domain's perplexity with its value before the run. With action stop the run
/// goes back to the last evaluation that passed; with rebalance the mix moves.
class Guard : public Part {
 public:
  explicit Guard(const GuardOptions& options) : options_(options) {}

  std::string name() const override { return "guard"; }
  /// The reference: scores of the base.
  void scored(const train::Evaluation& base) override { set_reference(base.scores); }
  void open(ReadyRun& run) override { run_ = &run; }
  void attach(train::Task& task, optim::Optimizer& optimizer) override;
  std::string evaluated(const train::Evaluation& evaluation, bool last) override;
  Json save() const override;
  void load(const Json& state) override;
  void report(const EndedRun& run, Json& report) override;

  /// Without a guarded domain nothing is kept.
  void set_reference(const std::vector<train::Score>& scores);

  /// The scores before the first guarded step. Where growth alone has broken the limit, that is not
  /// for training to answer: until it has been within max_ratio it may only get no worse than here.
  void begin(const std::vector<train::Score>& scores);

  /// Takes in an evaluation; whether it passes. Everything passes before a reference is set.
  bool judge(const std::vector<train::Score>& scores);

  /// Ratio that the next evaluation may have: max_ratio, or more as begin() says.
  double limit() const;
  /// Whether the last judged evaluation is within max_ratio.
  bool held() const { return ratio_ && *ratio_ <= options_.max_ratio; }

  /// The share of the mix that the guarded domain should have from here on, where it has `share`;
  /// nullopt to leave it. To be asked once after each evaluation but the last.
  ///
  /// Let x be the logarithm of the ratio, l that of max_ratio. Past the limit the share is
  /// multiplied by rebalance_factor to the power of x / l, but at least of the number of
  /// evaluations in a row that were past it; by the factor alone where the next one, expected at x
  /// + (x - x before), would be. Within half of l, now and then, it goes back by the factor's root,
  /// as far as to what it was at first. Source: ours.
  std::optional<double> next_share(double share);

  /// Perplexity of the last judged evaluation over the reference.
  std::optional<double> ratio() const { return ratio_; }

 private:
  std::optional<double> ratio_of(const std::vector<train::Score>& scores) const;
  void rebalance();
  Json verdict(const EndedRun& run) const;

  GuardOptions options_;
  ReadyRun* run_ = nullptr;
  std::optional<double> reference_;
  std::optional<double> ratio_, before_;  ///< of the last two evaluations
  std::optional<double> start_;           ///< ratio before the first guarded step
  bool was_within_ = false;               ///< an evaluation since was within max_ratio
  double raises_ = 0;                     ///< in a row, past the limit
  std::optional<double> first_share_;
};

/// The share of the sets of a domain, `domains[i]` being that of set i.
double share_of(const std::string& domain, const std::vector<double>& shares,
                const std::vector<std::string>& domains);

/// Weights of the sets with which the domain has the share `wanted`, in (0, 1), where by `weights`
/// it has `share`: its own are multiplied by the ratio of the odds.
std::vector<double> with_share(std::vector<double> weights, const std::string& domain,
                               const std::vector<std::string>& domains, double share,
                               double wanted);

}  // namespace hone::run
