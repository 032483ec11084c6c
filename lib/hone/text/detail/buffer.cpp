#include "hone/text/detail/buffer.h"

#include <algorithm>

#include "hone/core/error.h"
#include "hone/core/utf8.h"

namespace hone::text::detail {
namespace {

// Rewriting that makes more than this of a text is an attack.
constexpr size_t kMaxGrowth = 64;

}  // namespace

ByteRange Buffer::span_of(size_t i) const {
  if (!identity_) return spans_[i];
  size_t begin = i;
  while (begin > 0 && is_continuation(text_[begin])) --begin;
  return {static_cast<uint32_t>(begin),
          static_cast<uint32_t>(begin + sequence_length(text_[begin]))};
}

ByteRange Buffer::original(uint32_t begin, uint32_t end) const {
  return {span_of(begin).begin, span_of(end - 1).end};
}

void Buffer::start() {
  next_text_.clear();
  next_spans_.clear();
}

void Buffer::copy(size_t begin, size_t end) {
  next_text_.append(text_.substr(begin, end - begin));
  if (!identity_) {
    next_spans_.insert(next_spans_.end(), spans_.begin() + static_cast<ptrdiff_t>(begin),
                       spans_.begin() + static_cast<ptrdiff_t>(end));
    return;
  }
  for (size_t i = begin; i < end; ++i) next_spans_.push_back(span_of(i));
}

void Buffer::insert(std::string_view text, size_t at) {
  if (next_text_.size() + text.size() > kMaxGrowth * original_.size() + (1 << 20)) {
    throw Error("tokenizer: normalizer and pre-tokenizer make more than 64 times the text of " +
                std::to_string(original_.size()) + " bytes");
  }
  const ByteRange span = at < text_.size() ? span_of(at) : ByteRange{0, 0};
  next_text_.append(text);
  next_spans_.insert(next_spans_.end(), text.size(), span);
}

void Buffer::finish() {
  owned_.swap(next_text_);
  spans_.swap(next_spans_);
  text_ = owned_;
  identity_ = false;
}

void Buffer::apply(const std::vector<Change>& changes, size_t removed) {
  start();
  size_t old = 0;  // byte offset of the next old character
  const auto skip = [&] {
    if (old < text_.size()) old += sequence_length(text_[old]);
  };
  for (; removed > 0; --removed) skip();
  for (const Change& change : changes) {
    ByteRange span{0, 0};
    if (change.change > 0) {
      if (old > 0) span = span_of(old - 1);
    } else if (old < text_.size()) {
      span = span_of(old);
    }
    const size_t before = next_text_.size();
    append_utf8(next_text_, change.c);
    next_spans_.insert(next_spans_.end(), next_text_.size() - before, span);
    if (change.change <= 0) skip();
    for (int i = 0; i < -change.change; ++i) skip();
  }
  finish();
}

void Buffer::replace(const std::vector<ByteRange>& spans, std::string_view replacement) {
  start();
  size_t done = 0;
  for (const ByteRange& span : spans) {
    copy(done, span.begin);
    // Before the first character there is nothing to align to.
    insert(replacement, span.end > 0 ? span.end - 1 : text_.size());
    done = span.end;
  }
  copy(done, text_.size());
  finish();
}

size_t Buffer::take(const Buffer& whole, size_t begin, size_t end) {
  if (whole.identity_) {
    reset(whole.text_.substr(begin, end - begin));
    return begin;
  }
  original_ = whole.original_;
  owned_.assign(whole.text_.substr(begin, end - begin));
  spans_.assign(whole.spans_.begin() + static_cast<ptrdiff_t>(begin),
                whole.spans_.begin() + static_cast<ptrdiff_t>(end));
  text_ = owned_;
  identity_ = false;
  return 0;
}

void Buffer::crop(size_t begin, size_t end) {
  if (begin == 0 && end == text_.size()) return;
  start();
  copy(begin, end);
  finish();
}

}  // namespace hone::text::detail
