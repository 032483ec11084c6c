#include "hone/model/pruned/residual_stream.h"

#include <catch2/catch.hpp>

#include "model/support.h"

namespace hone::model {
namespace {

TEST_CASE("a watch sees every norm in order, and leaves the decoder as it was") {
  Decoder decoder = test::small_decoder();
  const DecoderInput input = test::random_input({5, 3}, 40);
  const at::Tensor before = decoder->hidden(input);
  std::vector<size_t> places;
  at::Tensor last;
  {
    const ResidualWatch watch(decoder,
                              [&](size_t place, const at::Tensor& x, const at::Tensor& normed) {
                                CHECK(x.sizes() == at::IntArrayRef({8, 32}));
                                places.push_back(place);
                                last = normed;
                              });
    CHECK(at::equal(decoder->hidden(input), before));
  }
  CHECK(places == std::vector<size_t>{0, 1, 2, 3, 4, 5, 6});
  CHECK(at::equal(last, before));
  CHECK(at::equal(decoder->hidden(input), before));
  CHECK(places.size() == 7);
}

TEST_CASE("block importance is one less the mean cosine of what a block takes in and gives") {
  Decoder decoder = test::small_decoder();
  const torch::NoGradGuard no_grad;
  decoder->layers[1]->self_attn->parameters()[3].zero_();  // o_proj
  for (at::Tensor& parameter : decoder->layers[1]->mlp->parameters()) parameter.zero_();
  std::vector<at::Tensor> outputs;
  decoder->set_observer("test", [&](size_t, const at::Tensor& x) { outputs.push_back(x); });
  const DecoderInput input = test::random_input({5, 3}, 40), more = test::random_input({4}, 40);
  const std::vector<double> importances = block_importances(decoder, [&] {
    decoder->hidden(input);
    decoder->hidden(more);
  });
  REQUIRE(importances.size() == 3);
  CHECK(importances[1] == Approx(0).margin(1e-6));
  const auto cosines = [&](size_t pass) {
    return at::cosine_similarity(outputs[3 * pass + 1], outputs[3 * pass + 2], 1)
        .sum()
        .item<double>();
  };
  CHECK(importances[2] == Approx(1 - (cosines(0) + cosines(1)) / 12).epsilon(1e-5));
  CHECK(importances[2] > 0.001);
}

}  // namespace
}  // namespace hone::model
