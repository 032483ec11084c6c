/// The `decoder` of a tokenizer.json: turns tokens back into text.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/text/detail/regex.h"

namespace hone::text::detail {

class DetokenizerStep {
 public:
  virtual ~DetokenizerStep() = default;
  virtual void apply(std::vector<std::string>& tokens, MatchScratch& scratch) const = 0;
};

class Detokenizer {
 public:
  /// `json` may be null: tokens are joined by spaces. Throws: IoError.
  static Detokenizer parse(const Json& json, const std::string& source);

  /// The text of tokens, valid UTF-8. Throws: Error when steps blow the tokens up without measure.
  std::string decode(std::vector<std::string> tokens, MatchScratch& scratch) const;

 private:
  std::vector<std::shared_ptr<const DetokenizerStep>> steps_;
  bool joins_by_space_ = false;
};

}  // namespace hone::text::detail
