/// Stop strings in generated tokens.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "hone/text/tokenizer.h"

namespace hone::infer::detail {

class StopStrings {
 public:
  /// `strings` may be empty, but none of them.
  StopStrings(const text::Tokenizer& tokenizer, std::vector<std::string> strings);

  /// Whether the last of `ids` completes a stop string that lies in ids[first..]: the number of
  /// bytes from the begin of the earliest such string to the end of the text, special tokens not
  /// counted (and so one more than decode(ids[first..]) has, where that drops a space that the
  /// string begins with). Earlier tokens are taken to have completed none.
  std::optional<size_t> find(std::span<const int64_t> ids, size_t first) const;

 private:
  text::Tokenizer tokenizer_;
  std::vector<std::string> strings_;
  std::set<int64_t> special_;
  size_t longest_ = 0;
};

}  // namespace hone::infer::detail
