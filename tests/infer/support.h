/// A small decoder and tokenizer for the tests of the serve room.
#pragma once
#include <torch/types.h>

#include <string>
#include <vector>

#include "hone/model/checkpoint.h"
#include "hone/text/bpe_trainer.h"
#include "hone/text/tokenizer.h"

namespace hone::serve::test {

/// Weights wide enough that the likeliest token is far ahead of the next.
inline model::Decoder small_decoder(int64_t positions = 64) {
  const Json config = {{"model_type", "llama"},    {"hidden_size", 32},
                       {"intermediate_size", 48},  {"num_hidden_layers", 2},
                       {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                       {"vocab_size", 300},        {"max_position_embeddings", positions},
                       {"initializer_range", 0.5}};
  model::Decoder decoder =
      model::make_decoder(model::DecoderConfig::from_json(config, "test"), at::kCPU, at::kFloat);
  decoder->initialise(1);
  return decoder;
}

/// Byte level, with <bos> 0 and <eos> 1 and one token for each byte.
inline text::Tokenizer small_tokenizer() {
  text::BpeTrainerOptions options{.vocab_size = 270, .special_tokens = {"<bos>", "<eos>"}};
  return text::Tokenizer::from_json(
      text::train_bpe({"the stop of the shop", "stop that top"}, options), "test");
}

}  // namespace hone::serve::test
