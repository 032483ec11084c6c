#include "hone/infer/generate.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "hone/core/error.h"
#include "infer/support.h"
#include "support/catch.h"

namespace hone::serve {
namespace {

using test::small_decoder;
using test::small_tokenizer;
using IdLists = std::vector<std::vector<int64_t>>;

const IdLists kPrompts = {{5, 6, 7}, {9}, {20, 21, 22, 23, 24, 25}, {30, 31}, {40, 41, 42, 43}};

infer::SamplingOptions to_length(int64_t tokens) {
  return {.max_new_tokens = tokens, .stop_ids = std::vector<int64_t>()};
}

std::vector<infer::Generated> run(model::Decoder& decoder, const IdLists& prompts,
                                  const infer::SamplingOptions& sampling,
                                  const infer::GenerateOptions& options = {}) {
  return generate(decoder, small_tokenizer(), prompts, sampling, options);
}

/// The likeliest tokens, each from a pass over all before it.
std::vector<int64_t> plain(model::Decoder& decoder, std::vector<int64_t> ids, int64_t tokens) {
  const torch::NoGradGuard no_grad;
  const size_t begin = ids.size();
  for (int64_t i = 0; i < tokens; ++i) {
    const auto hidden = decoder->hidden(model::make_input(std::vector(1, ids), at::kCPU));
    ids.push_back(decoder->logits(hidden)[-1].argmax().item<int64_t>());
  }
  return {ids.begin() + static_cast<ptrdiff_t>(begin), ids.end()};
}

TEST_CASE("generate: greedy ids equal passes without a cache, for every batch") {
  model::Decoder decoder = small_decoder();
  for (const auto& [batch, prefill] : {std::pair<int64_t, int64_t>{1, 1}, {2, 5}, {8, 4096}}) {
    const auto results =
        run(decoder, kPrompts, to_length(12), {.max_batch = batch, .prefill_tokens = prefill});
    for (size_t i = 0; i < kPrompts.size(); ++i) {
      CHECK(results[i].ids == plain(decoder, kPrompts[i], 12));
      CHECK(results[i].text == small_tokenizer().decode(results[i].ids, true));
      CHECK(results[i].finish == infer::FinishReason::kLength);
      CHECK(results[i].prompt_tokens == static_cast<int64_t>(kPrompts[i].size()));
    }
  }
  CHECK(run(decoder, {}, to_length(3)).empty());
}

TEST_CASE("generate: what a conversation keeps changes no answer and is not run again") {
  model::Decoder decoder = small_decoder();
  infer::Kept kept(decoder);
  std::vector<int64_t> prompt = {5, 6, 7};
  const auto check = [&] {
    const auto fresh = run(decoder, {prompt}, to_length(6));
    const auto again = run(decoder, {prompt}, to_length(6), {.kept = &kept});
    CHECK(again[0].ids == fresh[0].ids);
    CHECK(again[0].text == fresh[0].text);
    return again[0].ids;
  };
  for (int turn = 0; turn < 3; ++turn) {
    const auto answer = check();
    CHECK(kept.cache.rows() == 1);
    CHECK(kept.cache.lengths()[0] == static_cast<int64_t>(kept.ids.size()) - 1);
    prompt.insert(prompt.end(), answer.begin(), answer.end());
    prompt.push_back(9);
  }
  check();           // the same prompt again
  prompt.resize(4);  // a beginning of it
  check();
  prompt = {30, 31, 32, 33};  // another one
  check();
  CHECK_THROWS_WITH(run(decoder, {{1}, {2}}, to_length(1), {.kept = &kept}),
                    Catch::Contains("serves one prompt at a time, got 2"));
}

TEST_CASE("generate: the decoder's mode is restored, and dropout is off meanwhile") {
  model::Decoder decoder = small_decoder();
  decoder->train();
  run(decoder, {{3}}, to_length(2));
  CHECK(decoder->is_training());
  CHECK(decoder->layers[0]->is_training());
  decoder->eval();
  run(decoder, {{3}}, to_length(2));
  CHECK_FALSE(decoder->is_training());
}

TEST_CASE("generate: ends at a stop id while the others go on") {
  model::Decoder decoder = small_decoder();
  const auto whole = run(decoder, kPrompts, to_length(12));
  infer::SamplingOptions sampling = to_length(12);
  sampling.stop_ids = {whole[1].ids[4], whole[3].ids[0]};
  const auto results = run(decoder, kPrompts, sampling, {.max_batch = 3});
  size_t stopped = 0;
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    const auto& ids = whole[i].ids;
    const auto end = std::find_first_of(ids.begin(), ids.end(), sampling.stop_ids->begin(),
                                        sampling.stop_ids->end());
    const bool stops = end != ids.end();
    CHECK(results[i].ids == std::vector<int64_t>(ids.begin(), stops ? end + 1 : end));
    CHECK(results[i].finish == (stops ? infer::FinishReason::kStop : infer::FinishReason::kLength));
    stopped += stops;
  }
  CHECK(stopped >= 2);
}

TEST_CASE("generate: ends at the model's last position") {
  model::Decoder decoder = small_decoder(10);
  const auto results = run(decoder, {{5, 6, 7}, {1, 2, 3, 4, 5, 6, 7, 8, 9}}, to_length(50));
  CHECK(results[0].ids.size() == 7);
  CHECK(results[1].ids.size() == 1);
  CHECK(results[0].finish == infer::FinishReason::kLength);
  CHECK_THROWS_WITH(run(decoder, {{1}, std::vector<int64_t>(10, 4)}, to_length(1)),
                    Catch::Contains("prompt 1 has 10 tokens, but the model's positions end at 10"));
}

TEST_CASE("generate: runs beyond the room that the cache begins with") {
  model::Decoder decoder = small_decoder(400);
  CHECK(run(decoder, {{5, 6, 7}}, to_length(300))[0].ids == plain(decoder, {5, 6, 7}, 300));
}

TEST_CASE("generate: each token is reported, and false ends its prompt alone") {
  model::Decoder decoder = small_decoder();
  const auto whole = run(decoder, kPrompts, to_length(6));
  IdLists seen(kPrompts.size());
  const auto results =
      run(decoder, kPrompts, to_length(6), {.on_token = [&](size_t prompt, int64_t id) {
            seen[prompt].push_back(id);
            return prompt != 2 || seen[2].size() < 4;
          }});
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    CHECK(results[i].ids == seen[i]);
    CHECK(seen[i].size() == (i == 2 ? 4 : 6));
    CHECK(std::equal(seen[i].begin(), seen[i].end(), whole[i].ids.begin()));
  }
  CHECK(results[2].finish == infer::FinishReason::kCancelled);
}

TEST_CASE("generate: sampling follows seed and prompt number, not the batch") {
  model::Decoder decoder = small_decoder();
  infer::SamplingOptions sampling = to_length(10);
  sampling.temperature = 20;
  const IdLists same(4, {5, 6});
  const auto ids = [&](int64_t seed, int64_t batch) {
    sampling.seed = seed;
    IdLists found;
    for (const infer::Generated& result : run(decoder, same, sampling, {.max_batch = batch})) {
      found.push_back(result.ids);
    }
    return found;
  };
  const IdLists one = ids(1, 1);
  CHECK(ids(1, 3) == one);
  CHECK(ids(2, 3) != one);
  CHECK(one[0] != one[1]);
}

TEST_CASE("generate: what cannot be is named") {
  model::Decoder decoder = small_decoder();
  CHECK_THROWS_WITH(run(decoder, {{1}}, {.max_new_tokens = 4}),
                    Catch::Contains("stop_ids is not set; give eos_ids(folder)"));
  CHECK_THROWS_WITH(run(decoder, {{1}, {}}, to_length(4)), Catch::Contains("prompt 1 is empty"));
  CHECK_THROWS_WITH(run(decoder, {{1, 300}}, to_length(4)),
                    Catch::Contains("prompt 0 holds the id 300, outside the model's 300 tokens"));
  CHECK_THROWS_WITH(run(decoder, {{1}}, to_length(0)),
                    Catch::Contains("must be at least 1, got 8, 4096 and 0"));
  {
    const torch::NoGradGuard no_grad;
    decoder->norm->parameters().front().fill_(NAN);
  }
  CHECK_THROWS_WITH(run(decoder, {{1}}, to_length(4)),
                    Catch::Contains("logits for prompt 0 are not finite"));
}

TEST_CASE("position_limit follows the scaling") {
  model::DecoderConfig config;
  config.max_position_embeddings = 100;
  config.rope.factor = 4;
  config.rope.original_positions = 50;
  CHECK(infer::position_limit(config) == 100);
  config.rope.type = nn::RopeType::kLlama3;
  CHECK(infer::position_limit(config) == 100);
  config.rope.type = nn::RopeType::kYarn;
  CHECK(infer::position_limit(config) == 200);
  config.rope.type = nn::RopeType::kDynamic;
  CHECK(infer::position_limit(config) == 400);
}

}  // namespace
}  // namespace hone::serve
