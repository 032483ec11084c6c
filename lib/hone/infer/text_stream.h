/// Generated tokens as text that can be shown at once.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hone/text/tokenizer.h"

namespace hone::infer {

/// Whole characters only: the parts that add() and finish() return, joined, are
/// decode(ids, skip_special_tokens = true), and each is UTF-8 by itself.
/// Cost: a decoding of all ids each time, small beside a pass of the model.
class TextStream {
 public:
  explicit TextStream(text::Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

  /// What the next token completes; "" while a character is in the making.
  std::string add(int64_t id);
  /// What is left at the end.
  std::string finish();

 private:
  std::string rest_of(const std::string& text);

  text::Tokenizer tokenizer_;
  std::vector<int64_t> ids_;
  std::string shown_;
};

}  // namespace hone::infer
