#include "hone/nn/embedding.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "hone/core/error.h"
#include "support/catch.h"

namespace hone::nn {
namespace {

Embedding random_embedding() {
  Embedding embedding(7, 3, at::TensorOptions().dtype(at::kFloat));
  torch::manual_seed(4);
  const torch::NoGradGuard no_grad;
  embedding->weight.normal_();
  return embedding;
}

TEST_CASE("Embedding: trainable rows stand in for the table's, in look-ups and as a head") {
  Embedding embedding = random_embedding();
  const at::Tensor ids = torch::tensor({5, 0, 2, 5}, at::kLong);
  const at::Tensor before = embedding(ids);
  embedding->add_trainable_rows({5, 2});
  CHECK(at::equal(embedding(ids), before));
  {
    const torch::NoGradGuard no_grad;
    embedding->trainable_rows.add_(1);
  }
  at::Tensor wanted = embedding->weight.detach().clone();
  wanted[5] += 1;
  wanted[2] += 1;
  CHECK(at::equal(embedding(ids), wanted.index_select(0, ids)));
  CHECK(at::equal(embedding(ids.view({2, 2})), wanted.index_select(0, ids).view({2, 2, 3})));
  CHECK(at::equal(embedding->table(), wanted));

  (embedding(ids).sum() + 2 * embedding->table().sum()).backward();
  CHECK(at::equal(embedding->trainable_rows.grad().select(1, 0), torch::tensor({4.f, 3.f})));
  CHECK_FALSE(embedding->weight.grad().defined());

  embedding->merge_trainable_rows();
  CHECK(at::equal(embedding->weight, wanted));
  CHECK(embedding->weight.requires_grad());
  CHECK(embedding->named_parameters().size() == 1);
  CHECK(embedding->rows().empty());
}

TEST_CASE("Embedding: ids without any trainable row") {
  Embedding embedding = random_embedding();
  embedding->add_trainable_rows({6});
  const at::Tensor ids = torch::tensor({1, 2}, at::kLong);
  CHECK(at::equal(embedding(ids), embedding->weight.index_select(0, ids)));
}

TEST_CASE("Embedding: another table takes the weight's place") {
  Embedding embedding = random_embedding();
  embedding->replace_weight(torch::ones({9, 3}));
  CHECK(embedding->named_parameters()["weight"].size(0) == 9);
  CHECK(embedding->weight.requires_grad());
  CHECK(at::equal(embedding(torch::tensor({8}, at::kLong)), torch::ones({1, 3})));
}

TEST_CASE("Embedding: bad rows are named") {
  Embedding embedding = random_embedding();
  CHECK_THROWS_WITH(embedding->add_trainable_rows({1, 7}), Catch::Contains("row 7 is outside"));
  CHECK_THROWS_WITH(embedding->add_trainable_rows({-1}), Catch::Contains("row -1 is outside"));
  CHECK_THROWS_WITH(embedding->add_trainable_rows({1, 1}), Catch::Contains("row 1 is given twice"));
  embedding->add_trainable_rows({1});
  CHECK_THROWS_WITH(embedding->add_trainable_rows({2}), Catch::Contains("already"));
}

// ---- NEFTune -----------------------------------------------------------------------------------

kernels::Sequences documents(std::vector<int64_t> offsets) {
  return kernels::Sequences::from_offsets(std::move(offsets), at::kCPU);
}

Embedding wide_embedding(int64_t dim) {
  Embedding embedding(7, dim, at::TensorOptions().dtype(at::kFloat));
  const torch::NoGradGuard no_grad;
  embedding->weight.normal_();
  return embedding;
}

at::Tensor generator_state() { return at::globalContext().defaultGenerator(at::kCPU).get_state(); }

TEST_CASE("Embedding: one document has the noise of transformers' and TRL's neftune hook") {
  Embedding embedding = wide_embedding(64);
  embedding->set_noise(5);
  const at::Tensor ids = at::randint(7, {50}, at::kLong);
  torch::manual_seed(11);
  const at::Tensor ours = embedding->noisy(ids, documents({0, 50}));
  // neftune_post_forward_hook: output + zeros_like(output).uniform_(-m, m), m = alpha / sqrt(L D).
  torch::manual_seed(11);
  const double magnitude = 5 / std::sqrt(50.0 * 64.0);
  const at::Tensor plain = embedding(ids);
  const at::Tensor theirs = plain + at::zeros_like(plain).uniform_(-magnitude, magnitude);
  // The draws are the same; u * m here and u * 2m - m there differ by a rounding.
  CHECK((ours - theirs).abs().max().item<double>() < 1e-6);
  CHECK((ours - plain).abs().max().item<double>() > 0.9 * magnitude);
}

TEST_CASE("Embedding: noise is uniform with the bound of each document's own length") {
  Embedding embedding = wide_embedding(128);
  embedding->set_noise(10);
  torch::manual_seed(12);
  const std::vector<int64_t> offsets = {0, 40, 45, 2045};
  const at::Tensor ids = at::randint(7, {2045}, at::kLong);
  const at::Tensor noise = (embedding->noisy(ids, documents(offsets)) - embedding(ids)).detach();
  for (size_t d = 0; d + 1 < offsets.size(); ++d) {
    const int64_t length = offsets[d + 1] - offsets[d];
    const at::Tensor part = noise.narrow(0, offsets[d], length).to(at::kDouble);
    const double bound = 10 / std::sqrt(static_cast<double>(length) * 128);
    const auto elements = static_cast<double>(part.numel());
    INFO("document " << d);
    CHECK(part.abs().max().item<double>() <= bound * (1 + 1e-5));
    CHECK(part.abs().max().item<double>() > 0.99 * bound);
    // Standard errors: bound / sqrt(3 n) of the mean, about 0.9 / sqrt(n) of the variance's ratio.
    CHECK(std::abs(part.mean().item<double>()) < 5 * bound / std::sqrt(3 * elements));
    CHECK(part.var(false).item<double>() / (bound * bound / 3) ==
          Approx(1).margin(5 * 0.9 / std::sqrt(elements)));
  }
}

TEST_CASE(
    "Embedding: noise off, in eval mode or of alpha 0 is the plain look-up and draws nothing") {
  Embedding embedding = wide_embedding(8);
  const at::Tensor ids = torch::tensor({5, 0, 2}, at::kLong);
  const auto is_plain = [&] {
    const at::Tensor before = generator_state();
    return at::equal(embedding->noisy(ids, documents({0, 1, 3})), embedding(ids)) &&
           at::equal(generator_state(), before);
  };
  CHECK(is_plain());
  embedding->set_noise(5);
  CHECK_FALSE(is_plain());
  embedding->eval();
  CHECK(is_plain());
  embedding->train();
  embedding->set_noise(0);
  CHECK(is_plain());
}

TEST_CASE(
    "Embedding: noise follows the generator, reaches trainable rows and leaves gradients be") {
  Embedding embedding = wide_embedding(8);
  embedding->add_trainable_rows({2});
  embedding->set_noise(5);
  const at::Tensor ids = torch::tensor({2, 0, 2, 4}, at::kLong);
  const at::Tensor saved = generator_state();
  const at::Tensor first = embedding->noisy(ids, documents({0, 4}));
  CHECK_FALSE(at::equal(first[0], first[2]));
  CHECK_FALSE(at::equal(embedding->noisy(ids, documents({0, 4})), first));
  at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
  generator.set_state(saved);
  CHECK(at::equal(embedding->noisy(ids, documents({0, 4})), first));
  first.sum().backward();
  CHECK(at::equal(embedding->trainable_rows.grad(), torch::full({1, 8}, 2.f)));
}

TEST_CASE("Embedding: a bad alpha and segments of another batch are named") {
  Embedding embedding = wide_embedding(8);
  CHECK_THROWS_WITH(embedding->set_noise(-1),
                    Catch::Contains("alpha must be finite and at least 0"));
  CHECK_THROWS_AS(embedding->set_noise(std::nan("")), Error);
  embedding->set_noise(5);
  CHECK_THROWS_WITH(embedding->noisy(torch::tensor({1, 2}, at::kLong), documents({0, 3})),
                    Catch::Contains("T = 3"));
}

}  // namespace
}  // namespace hone::nn
