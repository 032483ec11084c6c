/// The space of a search as a recipe declares it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/tune/samplers/sampler.h"

namespace hone::tune {

enum class ParameterType { kFloat, kInt, kCategorical };

/// One searched key: a range, or a list of choices.
struct ParameterOptions {
  ParameterType type = ParameterType::kFloat;
  std::optional<double> low, high;
  bool log = false;
  std::optional<double> step;
  std::vector<Json> choices;
  std::map<std::string, std::vector<Json>> when;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("type", self.type, "What its values are.");
    v("low", self.low, "Least value.");
    v("high", self.high, "Greatest value.");
    v("log", self.log, "Draw evenly in the logarithm.");
    v("step", self.step, "Distance of the values tried, counted from low.");
    v("choices", self.choices, "Values of a categorical parameter, of any simple JSON type.");
    v("when", self.when,
      "Searched only where each parameter named here has one of the values listed for it; "
      "elsewhere the base recipe's value stands.");
  }
  void validate(Validation& v) const;
  /// Throws: Error if it is contradictory.
  Distribution distribution() const;
};

using SpaceOptions = std::map<std::string, ParameterOptions>;

/// A checked space: parameters come after those that their conditions name, else by name.
class Space {
 public:
  /// Throws: ConfigError, paths below `path`: conditions on unknown parameters or values, circles.
  Space(const SpaceOptions& options, const std::string& path);

  const std::vector<std::string>& names() const { return names_; }
  const Distribution& distribution(const std::string& name) const {
    return parameters_.at(name).distribution;
  }
  const SearchSpace& distributions() const { return distributions_; }
  /// Whether a parameter's conditions hold for what has been suggested before it.
  bool active(const std::string& name, const std::vector<Param>& suggested) const;
  bool conditional() const;
  /// Whether every parameter is a real or an integer.
  bool numeric() const;

 private:
  struct Parameter {
    Distribution distribution;
    std::map<std::string, std::vector<double>> when;  // internal values
  };
  std::map<std::string, Parameter> parameters_;
  SearchSpace distributions_;
  std::vector<std::string> names_;
};

/// The active parameters of one trial: the sampler's joint suggestion, the rest one by one.
/// `fixed` are values given beforehand (enqueued by a person), by name.
std::vector<Param> suggest(const Space& space, Sampler& sampler, const StudyView& study,
                           Trial& trial, const Suggestion& fixed = {});

/// Every point of the space, conditions heeded, in the order of the parameters.
/// Throws: ConfigError, paths below `path`, naming parameters without a step; Error for more than a
/// million points.
std::vector<std::vector<Param>> grid(const Space& space, const std::string& path);

}  // namespace hone::tune

template <>
struct hone::EnumNames<hone::tune::ParameterType> {
  static constexpr std::pair<tune::ParameterType, const char*> values[] = {
      {tune::ParameterType::kFloat, "float"},
      {tune::ParameterType::kInt, "int"},
      {tune::ParameterType::kCategorical, "categorical"}};
};
