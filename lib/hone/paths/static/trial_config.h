/// From a point of a search space to the recipe of its trial.
#pragma once
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/run/config.h"
#include "hone/tune/space.h"

namespace hone::paths {

/// `base` with the parameters' values at the JSON pointers that are their names. Keys of the base
/// that have no effect beside those values (the adapter's, where tuning becomes full) are left out.
/// Throws: ConfigError, with paths in the recipe, for a point that is no valid recipe.
run::Config trial_config(const run::Config& base, const std::vector<tune::Param>& params);

/// The same as JSON that config::read_config takes, for writing it out.
Json trial_json(const run::Config& base, const std::vector<tune::Param>& params);

/// Everything wrong with the space as such, with paths below `path`: names that are no keys of the
/// recipe, and bounds or choices that their key does not take whatever the others are.
std::vector<Problem> check_space(const run::Config& base, const tune::SpaceOptions& space,
                                 const std::string& path);

}  // namespace hone::paths
