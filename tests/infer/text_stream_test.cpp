#include "hone/infer/text_stream.h"

#include <catch2/catch.hpp>

#include "hone/core/json.h"
#include "hone/core/utf8.h"
#include "hone/text/bpe_trainer.h"

namespace hone::serve {
namespace {

/// Bytes alone, so that characters fall into several tokens.
text::Tokenizer bytes() {
  text::BpeTrainerOptions options{.vocab_size = 258, .special_tokens = {"<bos>", "<eos>"}};
  return text::Tokenizer::from_json(text::train_bpe({"abc"}, options), "bytes");
}

TEST_CASE("a stream of tokens is shown in whole characters, and all of it is shown") {
  const text::Tokenizer tokenizer = bytes();
  const std::string wanted = "a\u00e9\u6cd5\U0001F600 b\u533b";
  std::vector<int64_t> ids = tokenizer.encode_ids(wanted, false);
  REQUIRE(ids.size() > 8);
  ids.push_back(1);  // <eos> is not shown
  infer::TextStream stream(tokenizer);
  std::string all;
  for (const int64_t id : ids) {
    const std::string part = stream.add(id);
    CHECK(is_utf8(part));
    all += part;
  }
  CHECK(all + stream.finish() == wanted);
}

TEST_CASE("a stream that ends within a character shows the mark that decoding shows") {
  const text::Tokenizer tokenizer = bytes();
  std::vector<int64_t> ids = tokenizer.encode_ids("a\u6cd5", false);
  ids.pop_back();
  infer::TextStream stream(tokenizer);
  std::string all;
  for (const int64_t id : ids) all += stream.add(id);
  CHECK(all == "a");
  all += stream.finish();
  CHECK(all == tokenizer.decode(ids, true));
  CHECK(is_utf8(all));
}

}  // namespace
}  // namespace hone::serve
