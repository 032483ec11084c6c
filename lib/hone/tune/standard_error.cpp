#include "hone/tune/standard_error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "hone/tune/pareto.h"
#include "hone/view/format.h"

namespace hone::tune {
namespace {

/// Nearer values are one: sums of float32 in another order differ by as much.
constexpr double kRounding = 1e-7;

/// "trial 3", "trials 3, 7" or, of many, "trials 3, 7, ... (20 of them)".
std::string trials_text(const std::vector<int64_t>& numbers) {
  constexpr size_t kShown = 8;
  if (numbers.size() == 1) return fmt::format("trial {}", numbers[0]);
  const std::vector<int64_t> first(
      numbers.begin(), numbers.begin() + static_cast<int64_t>(std::min(kShown, numbers.size())));
  std::string text = fmt::format("trials {}", fmt::join(first, ", "));
  if (numbers.size() > kShown) text += fmt::format(", ... ({} of them)", numbers.size());
  return text;
}

}  // namespace

std::optional<double> standard_error(const Trial& trial, size_t objective) {
  const auto found = trial.user_attrs.find(kStandardErrors);
  if (found == trial.user_attrs.end() || !found->second.is_array()) return std::nullopt;
  if (objective >= found->second.size() || !found->second[objective].is_number()) {
    return std::nullopt;
  }
  return found->second[objective].get<double>();
}

std::string value_with_error(const Trial& trial, size_t objective) {
  const auto error = standard_error(trial, objective);
  const std::string value = view::format_number(trial.values.at(objective));
  return error ? value + fmt::format(" ± {:.2g}", *error) : value;
}

Ties ties(const StudyView& study, const Trial& best) {
  Ties found;
  for (const TrialPtr& trial : ranked_trials(study)) {
    if (trial->number == best.number) continue;
    const double apart = std::abs(trial->values[0] - best.values[0]);
    const double error =
        std::hypot(standard_error(*trial, 0).value_or(0), standard_error(best, 0).value_or(0));
    if (apart <= kRounding * std::abs(best.values[0])) {
      found.equal.push_back(trial->number);
    } else if (apart < error) {
      found.within.push_back(trial->number);
    }
  }
  return found;
}

std::string ties_text(const Ties& ties) {
  std::string text;
  if (!ties.equal.empty()) text = "tied with " + trials_text(ties.equal);
  if (!ties.within.empty()) {
    text += (text.empty() ? "" : "; ") + std::string("within the standard error of ") +
            trials_text(ties.within);
  }
  return text;
}

}  // namespace hone::tune
