#include "hone/tune/samplers/detail/unit_cube.h"

#include "hone/tune/samplers/detail/transform.h"

namespace hone::tune::detail {

Eigen::VectorXd to_cube(const SearchSpace& space, const Suggestion& values) {
  Eigen::VectorXd point(space.size());
  Eigen::Index i = 0;
  for (const auto& [name, distribution] : space) {
    point[i++] = to_unit(distribution, values.at(name));
  }
  return point;
}

Suggestion from_cube(const SearchSpace& space, const Eigen::VectorXd& point) {
  Suggestion values;
  Eigen::Index i = 0;
  for (const auto& [name, distribution] : space) {
    values.emplace(name, from_unit(distribution, point[i++]));
  }
  return values;
}

Suggestion values_of(const SearchSpace& space, const Trial& trial) {
  Suggestion values;
  for (const auto& [name, distribution] : space) {
    const Param* param = trial.param(name);
    if (param == nullptr || !contains(distribution, param->value)) return {};
    values.emplace(name, param->value);
  }
  return values;
}

}  // namespace hone::tune::detail
