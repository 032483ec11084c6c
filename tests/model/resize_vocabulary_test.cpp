#include "hone/model/resize_vocabulary.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"
#include "hone/model/adapter.h"
#include "model/support.h"

namespace hone::model {
namespace {

TEST_CASE("rows that are kept give the logits that they gave") {
  for (const bool tied : {false, true}) {
    Json config = test::small_config();
    config["tie_word_embeddings"] = tied;
    Decoder decoder = test::small_decoder(config);
    const torch::NoGradGuard no_grad;
    const std::vector<int64_t> kept = {1, 4, 30, 39};
    const at::Tensor index = torch::tensor(kept, at::kLong);
    DecoderInput input = test::random_input({6}, 4);
    const at::Tensor small = input.ids;
    input.ids = index.index_select(0, small);
    const at::Tensor wanted = decoder->logits(decoder->hidden(input)).index_select(1, index);
    keep_vocabulary(decoder, kept);
    input.ids = small;
    CHECK(at::allclose(decoder->logits(decoder->hidden(input)), wanted, 1e-6, 1e-7));
    CHECK(decoder->config().vocab_size == 4);
    CHECK(decoder->embed_tokens->weight.requires_grad());
  }
}

TEST_CASE("rows that cannot be kept are refused") {
  Decoder decoder = test::small_decoder();
  CHECK_THROWS_WITH(keep_vocabulary(decoder, {}), "keep_vocabulary: no row would be left");
  CHECK_THROWS_WITH(keep_vocabulary(decoder, {3, 40}),
                    "keep_vocabulary: row 40 is outside the 40 rows");
  Decoder hashed = test::small_decoder(test::v4_config());
  CHECK_THROWS_WITH(keep_vocabulary(hashed, {3}),
                    "keep_vocabulary: the model chooses experts by token ids");
  add_lora(decoder, {}, 1, {7});
  CHECK_THROWS_WITH(keep_vocabulary(decoder, {3}),
                    "keep_vocabulary: the decoder carries an adapter; resize before adding one");
}

}  // namespace
}  // namespace hone::model
