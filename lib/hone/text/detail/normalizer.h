/// The `normalizer` of a tokenizer.json.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/text/detail/buffer.h"
#include "hone/text/detail/regex.h"

namespace hone::text::detail {

/// One step of normalisation.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual void apply(Buffer& buffer, MatchScratch& scratch) const = 0;
};

/// Rewrites a segment before it is cut into pieces.
class Normalizer {
 public:
  /// `json` may be null: no steps. Throws: IoError.
  static Normalizer parse(const Json& json, const std::string& source);

  bool empty() const { return steps_.empty(); }
  void apply(Buffer& buffer, MatchScratch& scratch) const {
    for (const auto& step : steps_) step->apply(buffer, scratch);
  }

 private:
  std::vector<std::shared_ptr<const NormalizerStep>> steps_;
};

/// {"String": s} or {"Regex": r} of a Split or Replace. Throws: IoError.
Regex parse_pattern(const Json& json, const std::string& source, const std::string& where);

/// The spans of `pattern` in `text`.
std::vector<ByteRange> find_spans(const Regex& pattern, std::string_view text,
                                  MatchScratch& scratch);

}  // namespace hone::text::detail
