/// Learning-rate schedules: pure functions of the step, so that a resumed run needs no state of
/// them.
#pragma once
#include <cstdint>
#include <utility>

#include "hone/core/field.h"
#include "hone/core/names.h"

namespace hone::train {

/// Course of the learning rate.
enum class Decay { kCosine, kLinear, kConstant, kCosineRestarts, kOneCycle, kWsd };
enum class Anneal { kCos, kLinear };
enum class WsdForm { kLinear, kCosine, kOneMinusSqrt };

/// Cosine with warm restarts (SGDR, Loshchilov and Hutter 2017, eq. 5), after the warm-up. In cycle
/// n
///   T_n = t_0 * t_mult^n,  peak_n = max(eta_min, lr * peak_decay^n),  eta_min = lr * min_lr_ratio,
///   rate = eta_min + (peak_n - eta_min) * (1 + cos(pi * t / T_n)) / 2   for t = 0 .. T_n - 1.
/// With peak_decay 1 it is torch's CosineAnnealingWarmRestarts.
struct RestartOptions {
  int64_t t_0 = 0;
  int64_t t_mult = 2;
  double peak_decay = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("t_0", self.t_0, "Steps of the first cycle; 0 takes a third of those after the warm-up.",
      Range{0, 1e12});
    v("t_mult", self.t_mult, "Factor on the length of a cycle at each restart.", Range{1, 1000});
    v("peak_decay", self.peak_decay, "Factor on the peak at each restart.", Range{0, 1});
  }
};

/// One cycle over all steps (Smith and Topin 2018), torch's OneCycleLR without its cycle of the
/// momentum: from lr / div_factor to lr in the first pct_start of the steps, then down to
/// lr / div_factor / final_div_factor; with three_phase by way of lr / div_factor, as far from the
/// peak as the start is.
struct OneCycleOptions {
  double pct_start = 0.3;
  Anneal anneal = Anneal::kCos;
  double div_factor = 25;
  double final_div_factor = 1e4;
  bool three_phase = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("pct_start", self.pct_start, "Share of the steps in which the rate rises.", Range{0, 1});
    v("anneal", self.anneal, "Form of the rise and the fall.");
    v("div_factor", self.div_factor, "The peak over the first rate.", Range{1, 1e9});
    v("final_div_factor", self.final_div_factor, "The first rate over the last.", Range{1, 1e12});
    v("three_phase", self.three_phase,
      "Fall to the first rate as fast as it rose, then to the last one; false falls in one go.");
  }
  void validate(Validation& v) const;
};

/// Warm-up, stable rate, decay (Hu et al. 2024, MiniCPM, section 4; transformers'
/// get_wsd_schedule). The default form and share are those that Haegele et al. 2024 found best.
struct WsdOptions {
  double decay_share = 0.2;
  WsdForm form = WsdForm::kOneMinusSqrt;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("decay_share", self.decay_share,
      "Share of the steps, the last ones, in which the rate falls.", Range{0, 1});
    v("form", self.form, "Form of the fall.");
  }
};

struct TrainOptions;

/// Learning rate of optimiser step `step`, counted from 0: linear from lr / w to lr over the
/// w = round(warmup_ratio * steps) first steps, then `decay` down to lr * min_lr_ratio; one_cycle
/// has a rise of its own instead.
/// Parity: at step + 1 while warming up (transformers begins at 0, which wastes a step) and at step
/// after it, equal to transformers' get_cosine_schedule_with_warmup and its linear, constant and
/// wsd kin, and from the warm-up on to torch's CosineAnnealingWarmRestarts; at every step to
/// torch's OneCycleLR (tests/parity/schedules.py).
double learning_rate(const TrainOptions& options, int64_t step);

}  // namespace hone::train

template <>
struct hone::EnumNames<hone::train::Decay> {
  static constexpr std::pair<train::Decay, const char*> values[] = {
      {train::Decay::kCosine, "cosine"},      {train::Decay::kLinear, "linear"},
      {train::Decay::kConstant, "constant"},  {train::Decay::kCosineRestarts, "cosine_restarts"},
      {train::Decay::kOneCycle, "one_cycle"}, {train::Decay::kWsd, "wsd"}};
};
template <>
struct hone::EnumNames<hone::train::Anneal> {
  static constexpr std::pair<train::Anneal, const char*> values[] = {
      {train::Anneal::kCos, "cos"}, {train::Anneal::kLinear, "linear"}};
};
template <>
struct hone::EnumNames<hone::train::WsdForm> {
  static constexpr std::pair<train::WsdForm, const char*> values[] = {
      {train::WsdForm::kLinear, "linear"},
      {train::WsdForm::kCosine, "cosine"},
      {train::WsdForm::kOneMinusSqrt, "1-sqrt"}};
};
