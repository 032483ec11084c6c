/// The guard on general ability: acts when a held-out domain's perplexity worsens too far.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/paths/domain_config.h"
#include "hone/train/evaluation.h"

namespace hone::paths {

/// Compares the guarded domain's perplexity with its value before training.
class Guard {
 public:
  enum class Verdict { kFine, kStop, kRebalance };

  explicit Guard(const GuardOptions& options) : options_(options) {}

  /// The reference: scores before training. Without a guarded domain nothing is kept.
  void set_reference(const std::vector<train::Score>& scores);

  /// What to do after an evaluation; kFine before a reference is set.
  Verdict judge(const std::vector<train::Score>& scores);

  /// New weights of the training sets: those of the guarded domain times rebalance_factor.
  /// `domains[i]` is the domain of set i.
  std::vector<double> rebalance(std::vector<double> weights,
                                const std::vector<std::string>& domains) const;

  /// Perplexity now over the reference, of the last judged evaluation.
  std::optional<double> ratio() const { return ratio_; }

  Json state() const;
  void restore(const Json& state);

 private:
  std::optional<double> guarded_perplexity(const std::vector<train::Score>& scores) const;

  GuardOptions options_;
  std::optional<double> reference_;
  std::optional<double> ratio_;
};

}  // namespace hone::paths
