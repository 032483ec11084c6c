#include "hone/run/decoder_step.h"

#include <torch/types.h>

#include <filesystem>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/model/adapter.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

using namespace hone;
using namespace hone::run;

namespace {

/// Two documents of two domains; the last position of each is no target.
data::Batch batch() {
  data::Batch made;
  made.append({{1, 2, 3}, {2, 3, data::kIgnoreIndex}, {1, 1, 1}, 0});
  made.append({{4, 5}, {5, data::kIgnoreIndex}, {3, 1}, 1});
  return made;
}

}  // namespace

TEST_CASE("The loss is the weighted sum of the targets' nll, in the domain's and its own weight") {
  model::Decoder decoder = model::test::small_decoder();
  DecoderStep step(decoder, {1, 2});
  const at::Tensor nll = step.nll(batch()).to(at::kDouble);
  CHECK(nll.sizes() == at::IntArrayRef{5});
  CHECK(nll[2].item<double>() == 0);
  CHECK(nll[4].item<double>() == 0);
  CHECK_FALSE(nll.requires_grad());
  const loss::LossSum loss = step.loss(batch());
  CHECK(loss.weight.item<double>() == 1 + 1 + 2 * 3);
  CHECK(loss.sum.item<double>() ==
        Approx((nll[0] + nll[1] + 6 * nll[3]).item<double>()).epsilon(1e-5));
  CHECK(loss.sum.requires_grad());

  step.set_weights({0, 0.5});
  CHECK(step.weights() == std::vector<double>{0, 0.5});
  CHECK(step.loss(batch()).weight.item<double>() == 1.5);
}

TEST_CASE("Losses of layers for multi-token prediction are in the gradient, not in the sum") {
  Json config = model::test::v3_config();
  config["num_nextn_predict_layers"] = 1;
  model::DecoderConfig with = model::DecoderConfig::from_json(config, "test");
  model::join_multi_token(with);
  model::Decoder decoder = model::make_decoder(with, at::kCPU, at::kFloat);
  decoder->initialise(1);
  DecoderStep step(decoder, {1, 2});
  const at::Tensor& own = decoder->multi_token[0].eh_proj->weight;
  const double plain = step.loss(batch()).sum.item<double>();
  CHECK(step.take_multi_token().eq(0).all().item<bool>());  // not computed
  at::Tensor gradients[2];
  for (const int weight : {1, 2}) {
    step.set_multi_token(weight);
    const loss::LossSum loss = step.loss(batch());
    CHECK(loss.sum.item<double>() == plain);
    loss.sum.backward();
    gradients[weight - 1] = own.grad().clone();
    decoder->zero_grad();
  }
  CHECK(gradients[0].abs().max().item<double>() > 0);
  CHECK(at::allclose(gradients[1], 2 * gradients[0]));
  // Of five positions the first alone has a token two further, 3, which weighs 1 in domain 0.
  const at::Tensor sums = step.take_multi_token();
  CHECK(sums.sizes() == at::IntArrayRef({1, 2}));
  CHECK(sums[0][1].item<double>() == 2);  // of two passes
  step.set_weights({5, 1});
  step.loss(batch());
  CHECK(step.take_multi_token()[0][0].item<double>() ==
        Approx(2.5 * sums[0][0].item<double>()).epsilon(1e-5));
}

TEST_CASE("Documents of a batch do not see each other") {
  model::Decoder decoder = model::test::small_decoder();
  DecoderStep step(decoder, {1, 1});
  data::Batch alone;
  alone.append({{4, 5}, {5, data::kIgnoreIndex}, {1, 1}, 1});
  CHECK(step.nll(batch())[3].item<float>() == Approx(step.nll(alone)[0].item<float>()));
}

TEST_CASE("Each domain's nll is summed once it is measured, unweighted, and taken once") {
  model::Decoder decoder = model::test::small_decoder();
  DecoderStep step(decoder, {1, 4});
  step.measure_domains();
  step.loss(batch());
  step.loss(batch());
  const at::Tensor nll = step.nll(batch()).to(at::kDouble), sums = step.take_domain_nll();
  CHECK(sums.sizes() == at::IntArrayRef({2, 2}));
  CHECK(sums[0][0].item<double>() == Approx(2 * (nll[0] + nll[1]).item<double>()).epsilon(1e-5));
  CHECK(sums[1][0].item<double>() == Approx(2 * nll[3].item<double>()).epsilon(1e-5));
  CHECK(sums[0][1].item<double>() == 4);
  CHECK(sums[1][1].item<double>() == 2);
  CHECK(torch::equal(step.take_domain_nll(), torch::zeros({2, 2}, torch::kDouble)));
}

TEST_CASE("A batch counts if any target weighs anything") {
  DecoderStep step(model::test::small_decoder(), {0, 1});
  CHECK(step.weight(batch()) > 0);
  data::Batch other;
  other.append({{1, 2}, {2, data::kIgnoreIndex}, {1, 1}, 0});
  CHECK(step.weight(other) == 0);  // its domain weighs nothing
  other.append({{1, 2}, {2, data::kIgnoreIndex}, {0, 1}, 1});
  CHECK(step.weight(other) == 0);  // nor its target; the other is none
  other.append({{1, 2}, {2, data::kIgnoreIndex}, {0.5, 1}, 1});
  CHECK(step.weight(other) > 0);
}

TEST_CASE("A decoder's state comes back from a checkpoint folder, with an adapter as without") {
  for (const bool adapter : {false, true}) {
    const TemporaryFolder folder;
    const auto make = [&](uint64_t seed) {
      model::Decoder decoder = model::test::small_decoder(model::test::small_config(), seed);
      if (adapter) model::add_lora(decoder, {.rank = 2, .alpha = 2}, seed);
      return decoder;
    };
    model::Decoder saved = make(1), other = make(2);
    write_decoder(folder.path, saved, model::test::small_config(), "", "base");
    CHECK(std::filesystem::exists(folder.path + "/adapter_config.json") == adapter);
    const auto trained = model::trainable_parameters(other);
    read_decoder(folder.path, other, "base");
    const auto expected = model::trainable_parameters(saved);
    REQUIRE(trained.size() == expected.size());
    auto one = expected.begin();
    for (const auto& [name, tensor] : trained) {  // the same tensors, with other numbers
      CHECK(name == one->first);
      CHECK(torch::equal(tensor, (one++)->second));
    }
  }
}

TEST_CASE("A folder of another shape is refused") {
  const TemporaryFolder folder;
  Json wide = model::test::small_config();
  wide["intermediate_size"] = 64;
  model::Decoder decoder = model::test::small_decoder(wide);
  write_decoder(folder.path, decoder, wide, "", "");
  model::Decoder narrow = model::test::small_decoder();
  CHECK_THROWS_WITH(read_decoder(folder.path, narrow, ""),
                    Catch::StartsWith(folder.path + ": tensor model.layers.0.mlp.") &&
                        Catch::Contains("must be [48, 32], got [64, 32]"));
}
