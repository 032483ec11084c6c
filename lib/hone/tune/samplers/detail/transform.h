/// Distributions as intervals of the real line in which samplers draw.
#pragma once
#include "hone/tune/distribution.h"

namespace hone::tune::detail {

struct Bounds {
  double low, high;
};

/// The interval of a numeric distribution, half a step wider at both ends so that every grid point
/// owns an equal share; logarithms where log. A categorical one has [0, number of choices], of
/// which choice k owns [k, k + 1).
Bounds bounds(const Distribution& distribution);
/// Internal value to that interval; a categorical choice to the middle of its share.
double transform(const Distribution& distribution, double internal);
/// Back: rounded to the grid and kept inside; [low, high) for continuous ones, as Optuna has it.
double untransform(const Distribution& distribution, double transformed);

/// The same with the interval mapped to [0, 1]; one of a single value maps to 0.5.
double to_unit(const Distribution& distribution, double internal);
double from_unit(const Distribution& distribution, double unit);

/// Size of a discrete numeric distribution's step; 0 for continuous and categorical ones.
double step_of(const Distribution& distribution);
bool is_log(const Distribution& distribution);
/// Number of choices; 0 for numeric ones.
size_t num_choices(const Distribution& distribution);

}  // namespace hone::tune::detail
