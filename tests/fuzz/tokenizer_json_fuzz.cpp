// A tokenizer.json, then (behind the first NUL byte) a text to encode with it: whatever the file
// says, encoding gives offsets within the text, encode() and encode_ids() agree, and decoding gives
// UTF-8; or there is a hone::Error.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hone/core/error.h"
#include "hone/core/utf8.h"
#include "hone/text/tokenizer.h"

namespace {

using hone::text::Tokenizer;

void require(bool held) {
  if (!held) std::abort();
}

void use(const Tokenizer& tokenizer, std::string_view text) {
  const auto size = static_cast<int64_t>(text.size());
  for (const bool special : {false, true}) {
    const auto encoding = tokenizer.encode(text, special);
    require(encoding.ids == tokenizer.encode_ids(text, special));
    require(encoding.offsets.size() == encoding.ids.size());
    for (const auto& [begin, end] : encoding.offsets)
      require(0 <= begin && begin <= end && end <= size);
    for (const int64_t id : encoding.ids)
      require(tokenizer.has_id(id) && id < tokenizer.vocab_size());
    require(hone::is_utf8(tokenizer.decode(encoding.ids, special)));
  }
  for (const auto& [begin, end] : tokenizer.pieces(text)) require(0 <= begin && end <= size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t cut = std::min(input.find('\0'), size);
  try {
    const Tokenizer tokenizer = Tokenizer::from_json(
        hone::parse_json(input.substr(0, cut), "fuzz", {.max_bytes = 1 << 20}), "fuzz");
    use(tokenizer, input.substr(std::min(cut + 1, size)));
    use(tokenizer, "a b\xC3\xA9\xE2\x96\x81 1'll\n\xFF");
  } catch (const hone::Error&) {
  }
  return 0;
}
