#include "hone/kernels/varlen_attention.h"

#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::kernels {
namespace {

using test::gradient_error;
using test::relative_difference;
using Tensors = std::vector<at::Tensor>;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

/// Each document by itself, scores written out and masked, key heads repeated.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const std::vector<int64_t>& offsets, double scale) {
  Tensors outputs;
  const int64_t group = q.size(1) / k.size(1);
  for (size_t d = 0; d + 1 < offsets.size(); ++d) {
    const auto heads = [&](const at::Tensor& x, int64_t repeat) {  // [H, L, E]
      return x.slice(0, offsets[d], offsets[d + 1]).repeat_interleave(repeat, 1).transpose(0, 1);
    };
    const at::Tensor scores = at::matmul(heads(q, 1), heads(k, group).transpose(1, 2)) * scale;
    const int64_t length = scores.size(1);
    const at::Tensor later = at::ones({length, length}, at::kBool).triu(1);
    const at::Tensor weights = scores.masked_fill(later, -INFINITY).softmax(-1);
    outputs.push_back(at::matmul(weights, heads(v, group)).transpose(0, 1));
  }
  return at::cat(outputs);
}

Sequences segments_of(std::vector<int64_t> offsets) {
  return Sequences::from_offsets(std::move(offsets), at::kCPU);
}

const std::vector<std::vector<int64_t>> kBatches = {
    {0, 1},              // one token
    {0, 37},             // one document
    {0, 8, 16, 24},      // equal lengths
    {0, 5, 12, 18, 25},  // ragged, laid out as a grid
    {0, 1, 2, 40, 41},   // too ragged for a grid
    {0, 1, 2, 3},        // single tokens
};

TEST_CASE("documents lie in a grid where that has at most twice their positions") {
  CHECK(padded_to_grid(2, 8, 8));
  CHECK_FALSE(padded_to_grid(3, 7, 10));  // 21 of them
  CHECK_FALSE(padded_to_grid(1, 8, 8));   // has no use for one
}

TEST_CASE("segments choose the grid where it wastes at most half") {
  CHECK(segments_of({0, 5, 12, 18, 25}).to_grid.defined());
  CHECK_FALSE(segments_of({0, 1, 2, 40, 41}).to_grid.defined());
  CHECK_FALSE(segments_of({0, 9}).to_grid.defined());
  const Sequences segments = segments_of({0, 2, 5});
  CHECK(segments.max_length == 3);
  CHECK(segments.documents() == 2);
  CHECK(segments.tokens() == 5);
  CHECK(segments.to_grid.equal(torch::tensor({0, 1, 1, 2, 3, 4}, at::kLong)));
  CHECK(segments.from_grid.equal(torch::tensor({0, 1, 3, 4, 5}, at::kLong)));
}

TEST_CASE("segments reject offsets that do not rise") {
  CHECK_THROWS_WITH(segments_of({0}), Catch::Contains("at least one document"));
  CHECK_THROWS_WITH(segments_of({1, 2}), Catch::Contains("must begin with 0"));
  CHECK_THROWS_WITH(segments_of({0, 3, 3}), Catch::Contains("must rise strictly, got 3 then 3"));
}

TEST_CASE("varlen_attention equals each document by itself") {
  torch::manual_seed(1);
  for (const auto& offsets : kBatches) {
    for (const auto& [heads, key_heads] : {std::pair<int64_t, int64_t>{4, 4}, {6, 2}, {3, 1}}) {
      INFO("tokens " << offsets.back() << " documents " << offsets.size() - 1 << " heads "
                     << heads);
      Tensors fused, plain;
      for (const int64_t count : {heads, key_heads, key_heads}) {
        fused.push_back(at::randn({offsets.back(), count, 16}).requires_grad_());
        plain.push_back(fused.back().detach().to(at::kDouble).requires_grad_());
      }
      const at::Tensor out =
          varlen_attention(fused[0], fused[1], fused[2], segments_of(offsets), 0.3);
      const at::Tensor expected = plain_attention(plain[0], plain[1], plain[2], offsets, 0.3);
      const at::Tensor cotangent = at::randn(expected.sizes(), kDouble);
      CHECK(relative_difference(out, expected) < 2e-6);  // float32 against float64
      const auto got = torch::autograd::grad({out}, fused, {cotangent.to(at::kFloat)});
      const auto wanted = torch::autograd::grad({expected}, plain, {cotangent});
      for (size_t i = 0; i < 3; ++i) {
        // A single position attends to itself alone: no gradient reaches q and k.
        if (wanted[i].abs().max().item<double>() < 1e-12) {
          CHECK(got[i].abs().max().item<double>() < 1e-5);
        } else {
          CHECK(relative_difference(got[i], wanted[i]) < 5e-6);
        }
      }
    }
  }
}

TEST_CASE("varlen_attention: gradient") {
  torch::manual_seed(2);
  for (const auto& offsets : {std::vector<int64_t>{0, 3, 7}, {0, 1, 6, 7}, {0, 4}}) {
    const Sequences segments = segments_of(offsets);
    const auto f = [&](const Tensors& in) {
      return varlen_attention(in[0], in[1], in[2], segments, 0.4);
    };
    CHECK(gradient_error(f, {at::randn({offsets.back(), 4, 4}, kDouble),
                             at::randn({offsets.back(), 2, 4}, kDouble),
                             at::randn({offsets.back(), 2, 4}, kDouble)}) == "");
  }
}

TEST_CASE("varlen_attention: values may be of another width than keys") {
  torch::manual_seed(4);
  for (const auto& offsets : {std::vector<int64_t>{0, 5, 12, 18}, {0, 1, 40, 41}}) {
    const int64_t tokens = offsets.back();
    for (const int64_t width : {3, 9}) {
      const Tensors in = {at::randn({tokens, 4, 6}, kDouble), at::randn({tokens, 2, 6}, kDouble),
                          at::randn({tokens, 2, width}, kDouble)};
      const Sequences segments = segments_of(offsets);
      const at::Tensor out = varlen_attention(in[0], in[1], in[2], segments, 0.3);
      CHECK(relative_difference(out, plain_attention(in[0], in[1], in[2], offsets, 0.3)) < 1e-13);
    }
  }
  const Sequences segments = segments_of({0, 3, 7});
  const auto f = [&](const Tensors& in) {
    return varlen_attention(in[0], in[1], in[2], segments, 0.4);
  };
  CHECK(gradient_error(f, {at::randn({7, 2, 4}, kDouble), at::randn({7, 2, 4}, kDouble),
                           at::randn({7, 2, 3}, kDouble)}) == "");
}

TEST_CASE("varlen_attention: dropout keeps the mean and follows the seed") {
  torch::manual_seed(3);
  const Sequences segments = segments_of({0, 6, 12});
  const at::Tensor q = at::randn({12, 2, 8}), k = at::randn({12, 2, 8}), v = at::randn({12, 2, 8});
  const auto dropped = [&](uint64_t seed) {
    torch::manual_seed(seed);
    return varlen_attention(q, k, v, segments, 0.3, 0.5);
  };
  CHECK(dropped(7).equal(dropped(7)));
  CHECK_FALSE(dropped(7).equal(dropped(8)));
  at::Tensor sum = at::zeros_like(v);
  for (uint64_t seed = 0; seed < 300; ++seed) sum += dropped(seed);
  // 300 draws of a weight that is doubled or dropped: standard error of the mean below 0.06 |v|.
  CHECK(relative_difference(sum / 300, varlen_attention(q, k, v, segments, 0.3)) < 0.25);
}

TEST_CASE("varlen_attention: wrong shapes are named") {
  const Sequences segments = segments_of({0, 4});
  const at::Tensor q = at::randn({4, 4, 8});
  CHECK_THROWS_WITH(
      varlen_attention(at::randn({3, 4, 8}), q, q, segments, 1),
      Catch::Contains("varlen_attention: q must be [T, H, E] with T = 4, got [3, 4, 8]"));
  CHECK_THROWS_WITH(varlen_attention(q, at::randn({4, 3, 8}), q, segments, 1),
                    Catch::Contains("with K dividing H; q is [4, 4, 8], k is [4, 3, 8]"));
  CHECK_THROWS_WITH(
      varlen_attention(q, q, at::randn({4, 3, 8}), segments, 1),
      Catch::Contains("v must be [T, K, F] with T and K of k, [4, 4, 8], got [4, 3, 8]"));
}

}  // namespace
}  // namespace hone::kernels
