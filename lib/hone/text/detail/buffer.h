/// A text under rewriting that remembers which original bytes each of its bytes came from.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hone::text::detail {

/// Bytes [begin, end) of a buffer or of the original text.
struct ByteRange {
  uint32_t begin, end;
};

/// A character to write and how it relates to the characters it replaces, as in the `tokenizers`
/// package: 0 replaces the next old one; 1 is inserted behind it; -n replaces it and removes the n
/// that follow.
struct Change {
  char32_t c;
  int change;
};

/// The text of one segment. While nothing has rewritten it, it views the original and each byte
/// stands for its own character; afterwards it owns text and one original ByteRange per byte.
class Buffer {
 public:
  /// Views `text`, valid UTF-8, which must outlive the buffer.
  void reset(std::string_view text) {
    text_ = original_ = text;
    identity_ = true;
  }

  std::string_view text() const { return text_; }
  bool identity() const { return identity_; }

  /// The original bytes, whole characters, that bytes [begin, end) came from. begin < end.
  ByteRange original(uint32_t begin, uint32_t end) const;

  /// Rewrites the whole text; `removed` characters at its start go first.
  void apply(const std::vector<Change>& changes, size_t removed);
  /// Replaces [span) by `replacement`, all aligned to the last byte replaced. Spans ascend.
  void replace(const std::vector<ByteRange>& spans, std::string_view replacement);
  /// Becomes bytes [begin, end) of `whole`; returns where in the original its byte 0 lies.
  size_t take(const Buffer& whole, size_t begin, size_t end);
  /// Keeps only [begin, end).
  void crop(size_t begin, size_t end);

  /// Piecewise rebuilding: start(), then copy() and insert() in order, then finish().
  void start();
  void copy(size_t begin, size_t end);
  /// Writes `text` aligned to the character at byte `at` of the old text. Throws: Error when the
  /// text grows to more than 64 times the original.
  void insert(std::string_view text, size_t at);
  void finish();
  /// Bytes written since start().
  size_t written() const { return next_text_.size(); }

 private:
  ByteRange span_of(size_t i) const;

  std::string_view original_;
  std::string_view text_;
  std::string owned_;
  std::vector<ByteRange> spans_;
  std::string next_text_;
  std::vector<ByteRange> next_spans_;
  bool identity_ = true;
};

}  // namespace hone::text::detail
