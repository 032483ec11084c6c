/// Reading a foreign JSON object key by key, with all problems gathered.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"

namespace hone::model::detail {

/// Keys that are absent and keys that are null are one: Hugging Face writes either.
class ConfigKeys {
 public:
  /// `object` must outlive this. Messages name keys as `prefix` + key and go to `problems`.
  ConfigKeys(const Json& object, std::string prefix, std::vector<std::string>& problems)
      : object_(object), prefix_(std::move(prefix)), problems_(problems) {}

  /// The value, or nullptr.
  const Json* find(const std::string& key) const;

  std::optional<int64_t> integer(const std::string& key, int64_t min, int64_t max);
  std::optional<double> number(const std::string& key, double min, double max);
  std::optional<bool> flag(const std::string& key);
  std::optional<std::string> text(const std::string& key);

  /// The value, or a problem and `min`.
  int64_t required_integer(const std::string& key, int64_t min, int64_t max);
  double required_number(const std::string& key, double min, double max);

  void problem(const std::string& key, const std::string& message) {
    problems_.push_back(prefix_ + key + ": " + message);
  }

 private:
  const Json& object_;
  std::string prefix_;
  std::vector<std::string>& problems_;
};

/// "a; b; c".
std::string join(const std::vector<std::string>& parts);

}  // namespace hone::model::detail
