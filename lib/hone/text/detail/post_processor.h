/// The `post_processor` of a tokenizer.json: adds bos and eos, trims offsets.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hone/core/json.h"
#include "hone/text/tokenizer.h"

namespace hone::text::detail {

/// Spaces (as they are or in printable form) at the ends of a token; characters.
struct TokenSpaces {
  uint32_t leading = 0, trailing = 0;
};
TokenSpaces count_spaces(std::string_view token);

/// What the steps work on.
struct PostState {
  std::string_view text;  ///< the original, valid UTF-8
  bool add_special_tokens;
  Encoding& encoding;
  bool with_offsets, with_spaces;  ///< whether encoding.offsets, and `spaces`, are one per id
  std::vector<TokenSpaces>& spaces;
};

class PostStep {
 public:
  virtual ~PostStep() = default;
  virtual void apply(PostState& state) const = 0;
};

class PostProcessor {
 public:
  using HasId = std::function<bool(int64_t)>;

  /// `json` may be null: nothing is done. Throws: IoError.
  static PostProcessor parse(const Json& json, const std::string& source, const HasId& has_id);

  void apply(PostState& state) const {
    for (const auto& step : steps_) step->apply(state);
  }
  /// Whether some step takes spaces off the offsets.
  bool trims() const;

 private:
  std::vector<std::shared_ptr<const PostStep>> steps_;
};

}  // namespace hone::text::detail
