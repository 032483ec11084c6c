/// Byte-pair tokenizers from Hugging Face tokenizer.json files.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/core/json.h"

namespace hone::text {

/// Bytes of the original text, half open. Both ends lie on character boundaries: a token that holds
/// part of a character's bytes covers the whole character. A token that the post-processor adds
/// (bos) is [0, 0).
struct Offset {
  int64_t begin, end;
  bool operator==(const Offset&) const = default;
};

struct Encoding {
  std::vector<int64_t> ids;
  std::vector<Offset> offsets;  ///< one per id
};

/// Reads a tokenizer.json and encodes and decodes as the `tokenizers` package 0.23 does with it.
///
/// Understood: model BPE (byte_fallback, unk_token, fuse_unk, ignore_merges); normalizers NFC, NFD,
/// NFKC, NFKD, Lowercase, Prepend, Replace, Strip, StripAccents, Sequence; pre-tokenizers Split,
/// Digits, ByteLevel, Metaspace, Whitespace, WhitespaceSplit, Sequence; post-processors ByteLevel,
/// TemplateProcessing, Sequence; decoders ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip,
/// Sequence. Anything else is an IoError that names it: a tokenizer is never guessed at.
/// `truncation` and `padding` are not applied, as transformers switches them off.
///
/// Invalid UTF-8 counts as U+FFFD, one for each maximal broken part, as Python's
/// bytes.decode(errors="replace") makes of it; offsets still are bytes of the text given.
///
/// Copies share one immutable state; all methods may be called from several threads at once.
/// Limits of the Unicode tables: characters assigned after Unicode 14 count as unassigned.
/// Parity: ids, offsets and decoded text on six families (tests/interop/text_tokenizer.py).
class Tokenizer {
 public:
  /// Throws: IoError naming the file and what in it is wrong.
  static Tokenizer from_file(const std::string& tokenizer_json_path);
  /// `source` stands for the file's name in messages. Throws: IoError.
  static Tokenizer from_json(Json json, const std::string& source);

  /// Ids and where they came from. `add_special_tokens` applies the post-processor's template.
  /// Throws: Error when a pattern's match runs over the limits set against catastrophic patterns.
  Encoding encode(std::string_view text, bool add_special_tokens) const;
  /// The ids of encode() without the cost of offsets.
  std::vector<int64_t> encode_ids(std::string_view text, bool add_special_tokens) const;
  /// Valid UTF-8. Ids without a token (padded embedding rows) are left out, as `tokenizers` does.
  std::string decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const;

  /// Highest id + 1. May lie below the model's embedding rows, and there may be holes.
  int64_t vocab_size() const;
  /// The id of a token as the file spells it (byte-level tokens in their printable form).
  std::optional<int64_t> token_to_id(std::string_view token) const;
  /// The token as the file spells it. Throws: Error if there is none with that id.
  std::string id_to_token(int64_t id) const;
  bool has_id(int64_t id) const;
  /// Ids of added tokens with special = true, ascending.
  std::vector<int64_t> special_ids() const;
  /// Ids of all added tokens, ascending.
  std::vector<int64_t> added_ids() const;

  /// The pieces the pre-tokenizer makes of one text, added tokens included, as bytes of the text.
  std::vector<Offset> pieces(std::string_view text) const;

  /// What the tokenizer was made from: the file's own content, or what growth or
  /// TokenizerFolder::load made of it.
  const Json& json() const;
  const std::string& source() const;

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace hone::text
