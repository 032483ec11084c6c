/// The `pre_tokenizer` of a tokenizer.json: cuts a segment into pieces that merges do not cross.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/core/keys.h"
#include "hone/text/detail/buffer.h"
#include "hone/text/detail/regex.h"

namespace hone::text::detail {

/// A segment of the text between added tokens, on its way through the steps.
struct Segment {
  Buffer buffer;
  std::vector<ByteRange> pieces;  ///< of the buffer, ascending; none is empty
  std::vector<ByteRange> spare;   ///< what the next step writes into
  std::vector<ByteRange> spans;   ///< working memory of Split
  bool at_text_start = false;     ///< whether original byte 0 is the text's byte 0
};

/// One step; cuts pieces further, and may rewrite the buffer.
class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual void apply(Segment& segment, MatchScratch& scratch) const = 0;
};

class PreTokenizer {
 public:
  /// `json` may be null: one piece a segment. Throws: IoError.
  static PreTokenizer parse(const Json& json, const std::string& source);

  /// `segment.buffer` is set; fills `segment.pieces`.
  void apply(Segment& segment, MatchScratch& scratch) const;

  /// Whether the last step maps bytes to printable characters. That step is left out: pieces hold
  /// plain bytes and the model looks bytes up, unless `map_bytes` asked for the mapping itself.
  bool byte_level() const { return byte_level_; }
  /// Performs the mapping after all, for models that lack some of the 256 bytes.
  void map_bytes();

 private:
  std::vector<std::shared_ptr<const PreTokenizerStep>> steps_;
  bool byte_level_ = false;
};

/// Where Metaspace puts its character: before the text, nowhere, before every piece.
enum class PrependScheme { kFirst, kNever, kAlways };

struct Metaspace {
  std::string replacement;
  PrependScheme scheme;
  bool split;
};

/// Both forms: add_prefix_space (old), prepend_scheme and split (new). Throws: IoError.
Metaspace parse_metaspace(Keys& keys);

/// The printable code point that ByteLevel stands for a byte: GPT-2's table.
char32_t byte_to_char(uint8_t byte);
/// The byte a code point stands for, or -1.
int char_to_byte(char32_t c);

}  // namespace hone::text::detail
