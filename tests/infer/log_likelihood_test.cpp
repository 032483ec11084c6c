#include "hone/infer/log_likelihood.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "infer/support.h"
#include "support/catch.h"

namespace hone::serve {
namespace {

using test::small_decoder;
using test::small_tokenizer;

/// From the whole logits of the request alone.
infer::LogLikelihood plain(model::Decoder& decoder, const infer::Continuation& request) {
  const torch::NoGradGuard no_grad;
  std::vector<int64_t> ids = request.context;
  ids.insert(ids.end(), request.continuation.begin(), request.continuation.end());
  const auto hidden = decoder->hidden(model::make_input(std::vector(1, ids), at::kCPU));
  const at::Tensor log_p = decoder->logits(hidden).to(at::kDouble).log_softmax(-1);
  infer::LogLikelihood result{.greedy = true};
  for (size_t i = request.context.size(); i < ids.size(); ++i) {
    const at::Tensor row = log_p[static_cast<int64_t>(i) - 1];
    result.sum += row[ids[i]].item<double>();
    result.greedy = result.greedy && row.argmax().item<int64_t>() == ids[i];
    ++result.tokens;
  }
  return result;
}

TEST_CASE("log_likelihood equals whole logits, whatever the batch") {
  model::Decoder decoder = small_decoder();
  decoder->train();
  std::vector<infer::Continuation> requests = {
      {{1, 2, 3}, {4, 5}}, {{1, 2, 3}, {6}}, {{1, 2, 3}, {7}},       {{9}, {10, 11, 12, 13}},
      {{1, 2}, {3, 8}},    {{1, 2, 3}, {6}}, {{30, 31, 32, 33}, {5}}};
  // A continuation that greedy generation would produce.
  const torch::NoGradGuard no_grad;
  const auto hidden =
      decoder->hidden(model::make_input(std::vector(1, requests[3].context), at::kCPU));
  requests.push_back({{9}, {decoder->logits(hidden)[-1].argmax().item<int64_t>()}});
  for (const int64_t budget : {1, 8, 4096}) {
    const auto results = log_likelihood(decoder, requests, {.tokens_per_batch = budget});
    REQUIRE(results.size() == requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      const infer::LogLikelihood wanted = plain(decoder, requests[i]);
      CHECK(results[i].sum == Approx(wanted.sum).epsilon(1e-5));
      CHECK(results[i].tokens == wanted.tokens);
      CHECK(results[i].greedy == wanted.greedy);
    }
    CHECK(results.back().greedy);
    CHECK_FALSE(results[0].greedy);
  }
  CHECK(decoder->is_training());
  CHECK(infer::log_likelihood(decoder, {}).empty());
}

TEST_CASE("log_likelihood: what cannot be is named") {
  model::Decoder decoder = small_decoder(5);
  const auto run = [&](const infer::Continuation& request) {
    log_likelihood(decoder, std::vector<infer::Continuation>{{{1}, {2}}, request});
  };
  CHECK_THROWS_WITH(run({{}, {1}}), Catch::Contains("request 1's context is empty"));
  CHECK_THROWS_WITH(run({{1}, {}}), Catch::Contains("request 1's continuation is empty"));
  CHECK_THROWS_WITH(run({{1}, {-1}}), Catch::Contains("holds the id -1, outside"));
  CHECK_THROWS_WITH(run({{1, 2, 3}, {4, 5, 6}}),
                    Catch::Contains("has 6 tokens, but the model's positions end at 5"));
  CHECK_NOTHROW(run({{1, 2, 3}, {4, 5}}));
  CHECK_THROWS_WITH(infer::log_likelihood(decoder, {}, {.tokens_per_batch = 0}),
                    Catch::Contains("tokens_per_batch must be at least 1, got 0"));
}

TEST_CASE("encode_continuation: the boundary") {
  const text::Tokenizer tokenizer = small_tokenizer();
  const auto encode = [&](const char* text) { return tokenizer.encode_ids(text, false); };
  infer::Continuation pair =
      infer::encode_continuation(tokenizer, "the ", "stop", std::vector<int64_t>{0});
  std::vector<int64_t> context = encode("the");
  context.insert(context.begin(), 0);
  CHECK(pair.context == context);
  CHECK(pair.continuation == encode(" stop"));
  pair = infer::encode_continuation(tokenizer, "", "stop", std::vector<int64_t>{0});
  CHECK(pair.context == std::vector<int64_t>{0});
  CHECK(pair.continuation == encode("stop"));
  CHECK_THROWS_WITH(infer::encode_continuation(tokenizer, "  ", "stop"),
                    Catch::Contains("the context is empty; give a prefix"));
  CHECK_THROWS_WITH(infer::encode_continuation(tokenizer, "stop", ""),
                    Catch::Contains("the continuation \"\" adds no token"));
}

}  // namespace
}  // namespace hone::serve
