#include "hone/infer/text_stream.h"

#include <string_view>

#include "hone/core/utf8.h"

namespace hone::infer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD, of a character's part

}  // namespace

std::string TextStream::rest_of(const std::string& text) {
  // A decoder may yet change what it made of the last token's begin: wait for the next one.
  if (!text.starts_with(shown_)) return "";
  std::string rest = text.substr(shown_.size());
  shown_ = text;
  return rest;
}

std::string TextStream::add(int64_t id) {
  ids_.push_back(id);
  std::string text = tokenizer_.decode(ids_, /*skip_special_tokens=*/true);
  while (text.ends_with(kReplacement)) text.resize(text.size() - kReplacement.size());
  return rest_of(text);
}

std::string TextStream::finish() {
  return rest_of(tokenizer_.decode(ids_, /*skip_special_tokens=*/true));
}

}  // namespace hone::infer
