/// Regular expressions over module names, as Python's re would match them.
#pragma once
#include <memory>
#include <string>

namespace hone::model::detail {

/// PCRE2 with limits on backtracking, since patterns come with adapters from elsewhere.
class NamePattern {
 public:
  enum class Match {
    kWhole,  ///< re.fullmatch(pattern, name)
    kTail    ///< re.match("(.*\.)?(pattern)$", name): PEFT's rule for rank and alpha patterns
  };

  /// Throws: hone::Error naming the pattern and where it is wrong.
  NamePattern(const std::string& pattern, Match match);

  /// Throws: hone::Error if the limits are exceeded.
  bool matches(const std::string& name) const;

 private:
  std::string pattern_;
  std::shared_ptr<void> code_;
};

}  // namespace hone::model::detail
