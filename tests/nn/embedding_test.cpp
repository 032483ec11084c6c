#include "hone/nn/embedding.h"

#include <torch/torch.h>

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

}  // namespace
}  // namespace hone::nn
