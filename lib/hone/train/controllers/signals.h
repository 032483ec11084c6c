/// What is measured in a run, by name.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hone::train {

/// Numbers by name, e.g. "loss" or "validation/medicine", each as last measured. One that was never
/// measured is absent.
class Signals {
 public:
  void set(const std::string& name, double value) {
    values_[name] = value;
    fresh_.insert(name);
  }
  std::optional<double> find(const std::string& name) const;
  const std::map<std::string, double>& values() const { return values_; }
  /// The names that were set since the last call of age().
  const std::set<std::string>& fresh() const { return fresh_; }
  void age() { fresh_.clear(); }

 private:
  std::map<std::string, double> values_;
  std::set<std::string> fresh_;
};

/// A signal that runs measure, for docs, rule files and messages.
struct SignalInfo {
  const char* name;  ///< "validation/<domain>": one signal for each domain
  const char* help;
};

/// Every signal there is.
const std::vector<SignalInfo>& all_signals();

/// Whether a name is one of all_signals(), "validation/medicine" being one of
/// "validation/<domain>".
bool is_signal(std::string_view name);

}  // namespace hone::train
