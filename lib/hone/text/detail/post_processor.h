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

/// What one step works on.
struct PostInput {
  std::string_view text;                                ///< the original, valid UTF-8
  bool add_special_tokens;
  bool with_offsets;                                    ///< else `offsets` of the encoding is empty
  std::function<std::string_view(int64_t)> token_of;    ///< a token as the file spells it
};

class PostStep {
 public:
  virtual ~PostStep() = default;
  virtual void apply(const PostInput& input, Encoding& encoding) const = 0;
};

class PostProcessor {
 public:
  using HasId = std::function<bool(int64_t)>;

  /// `json` may be null: nothing is done. Throws: IoError.
  static PostProcessor parse(const Json& json, const std::string& source, const HasId& has_id);

  void apply(const PostInput& input, Encoding& encoding) const {
    for (const auto& step : steps_) step->apply(input, encoding);
  }

 private:
  std::vector<std::shared_ptr<const PostStep>> steps_;
};

}  // namespace hone::text::detail
