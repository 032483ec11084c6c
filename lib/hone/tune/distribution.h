/// What a hyperparameter may be, in the form that Optuna stores.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hone/core/json.h"

namespace hone::tune {

/// Reals in [low, high]; with `step` only low + k step; with `log` drawn evenly in the logarithm.
struct FloatDistribution {
  double low = 0, high = 1;
  bool log = false;
  std::optional<double> step;
  bool operator==(const FloatDistribution&) const = default;
};

/// Integers low, low + step, ..., high.
struct IntDistribution {
  int64_t low = 0, high = 1;
  bool log = false;
  int64_t step = 1;
  bool operator==(const IntDistribution&) const = default;
};

/// One of a list of null, bool, integer, real or string; 1, 1.0 and true are three choices.
struct CategoricalDistribution {
  std::vector<Json> choices;
  bool operator==(const CategoricalDistribution& other) const;
};

/// A parameter's *internal* value is a double everywhere in this room and in the storage: the
/// number itself or, for a categorical one, the index of its choice.
using Distribution = std::variant<FloatDistribution, IntDistribution, CategoricalDistribution>;

/// The same with `high` pulled down to the last point of the grid where step does not divide, in
/// decimal arithmetic as Optuna does it (low 0.1, high 0.3, step 0.1 keeps 0.3).
/// Validating twice changes no more than once.
/// Throws: Error saying what is contradictory: low > high, log with low <= 0 or with a step,
///   step <= 0, bounds or their distance not finite, integers or more values than doubles can tell
///   apart (2^53), no choices, choices of other types or repeated.
Distribution validated(Distribution distribution);

/// For people: "1e-5 .. 0.1, log", "4 .. 64, integer", "cosine, linear".
std::string describe(const Distribution& distribution);

/// {"name": "FloatDistribution", "attributes": {...}} as Optuna writes it.
std::string distribution_text(const Distribution& distribution);
/// Reads that and the legacy forms (Uniform, LogUniform, DiscreteUniform, IntUniform,
/// IntLogUniform). Throws: Error naming what is wrong.
Distribution parse_distribution(std::string_view text);

/// Whether the internal value lies in the distribution (grids are not checked for reals).
bool contains(const Distribution& distribution, double value);
/// Whether it has one value only.
bool single(const Distribution& distribution);
/// The number of values of a discrete distribution; nullopt for a continuous one.
std::optional<int64_t> cardinality(const Distribution& distribution);
/// The k-th value of a discrete distribution, from 0, as an internal one.
double value_at(const Distribution& distribution, int64_t k);
/// Whether a study may hold both for one parameter: same class, same log, same choices.
bool compatible(const Distribution& a, const Distribution& b);

/// The value that people and recipes see: integer, real or choice.
Json external_value(const Distribution& distribution, double internal);
/// The reverse. Throws: Error if `value` is of another type or not in the distribution.
double internal_value(const Distribution& distribution, const Json& value);

}  // namespace hone::tune
