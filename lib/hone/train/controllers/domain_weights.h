/// Moves the weights of domains during a run towards those that need it.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/train/controllers/controller.h"

namespace hone::train {

enum class DomainMethod { kDoremi, kGroupDro, kValidation };
enum class DomainKnob { kDomainWeights, kMixWeights };

struct DomainWeightsOptions {
  bool enabled = false;
  DomainMethod method = DomainMethod::kDoremi;
  DomainKnob knob = DomainKnob::kDomainWeights;
  std::map<std::string, double> reference;
  int64_t every = 10;
  double rate = 0.1;
  double smoothing = 0.01;
  double min_factor = 0.2;
  double max_factor = 5;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("enabled", self.enabled, "Whether it acts.");
    v("method", self.method,
      "What raises a domain: its excess loss (doremi), its loss (group_dro), or its held-out loss "
      "over what that was at first (validation).");
    v("knob", self.knob, "Weights of the loss, or of the mix that batches are drawn from.");
    v("reference", self.reference,
      "Loss of each domain under a reference model, in nats a target; empty takes what is measured "
      "first.");
    v("every", self.every, "Steps between updates; validation updates at each evaluation.",
      Range{1, 1e9});
    v("rate", self.rate, "Step size eta of the exponentiated gradient.", Range{1e-9, 100});
    v("smoothing", self.smoothing, "Share c of the even weights mixed in at each update.",
      Range{0, 1});
    v("min_factor", self.min_factor, "Lowest factor on a domain's first weight.", Range{1e-6, 1});
    v("max_factor", self.max_factor, "Highest factor on a domain's first weight.", Range{1, 1e6});
  }
  void validate(Validation& v) const;
};

/// Exponentiated gradient over the K domains that are measured. With alpha = factors / K, which
/// begins even, an update is
///   alpha'[i] = alpha[i] * exp(rate * l[i]),   alpha = (1 - c) * alpha' / sum(alpha') + c / K
/// where l is the domain's
///   doremi      excess loss, max(train[i] - reference[i], 0): Xie et al. 2023, algorithm 1 (there
///               rate 1 and c 1e-3, at each step). Without a given reference it is what was
///               measured first and the excess is not cut off at 0: the domain that has gained
///               least rises.
///   group_dro   loss train[i]: Sagawa et al. 2020, algorithm 1 (there rate 0.01 and c 0)
///   validation  ln(validation[i]) - reference[i], the held-out loss likewise; ours
/// The knob's weights become their first values times the factors, which stay within
/// [min_factor, max_factor].
class DomainWeights : public Controller {
 public:
  /// `domain_of_set` is needed for mix_weights, whose names are data sets.
  explicit DomainWeights(const DomainWeightsOptions& options,
                         std::map<std::string, std::string> domain_of_set = {})
      : options_(options), domain_of_set_(std::move(domain_of_set)) {}
  std::string name() const override { return "domain_weights"; }
  std::vector<std::string> owns() const override;
  /// Throws: hone::Error if a reference names no domain of the run, or fewer than two domains have
  /// weights.
  void at_start(KnobSetter& adjuster) override;
  void after_step(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  void after_evaluation(int64_t step, const Signals& signals, KnobSetter& adjuster) override;
  Json state() const override;
  void restore(const Json& state) override;

 private:
  using Numbers = std::map<std::string, double>;  // by domain

  const std::string& domain_of(const std::string& weight) const;
  /// The losses of the domains with a weight, as far as they are measured.
  Numbers losses(const Signals& signals) const;
  Numbers excess(const Numbers& losses);
  void update(const Numbers& gains);
  void act(const Signals& signals, KnobSetter& adjuster);

  const DomainWeightsOptions options_;
  const std::map<std::string, std::string> domain_of_set_;
  Numbers first_;  ///< the knob's weights at the start, by its own names
  Numbers factors_;
  Numbers reference_;  ///< measured
};

}  // namespace hone::train

template <>
struct hone::EnumNames<hone::train::DomainMethod> {
  static constexpr std::pair<train::DomainMethod, const char*> values[] = {
      {train::DomainMethod::kDoremi, "doremi"},
      {train::DomainMethod::kGroupDro, "group_dro"},
      {train::DomainMethod::kValidation, "validation"}};
};
template <>
struct hone::EnumNames<hone::train::DomainKnob> {
  static constexpr std::pair<train::DomainKnob, const char*> values[] = {
      {train::DomainKnob::kDomainWeights, "domain_weights"},
      {train::DomainKnob::kMixWeights, "mix_weights"}};
};
