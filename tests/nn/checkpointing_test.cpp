#include "hone/nn/checkpointing.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "hone/kernels/rms_norm.h"
#include "support/catch.h"

namespace hone::nn {
namespace {

/// Two layers with dropout between and one of our own autograd functions.
struct Layers {
  at::Tensor first, second, scale;

  Layers() {
    torch::manual_seed(3);
    first = torch::randn({24, 16}).requires_grad_();
    second = torch::randn({16, 24}).requires_grad_();
    scale = torch::rand({16}).requires_grad_();
  }

  Block block(int* runs = nullptr) const {
    return [copy = *this, runs](const at::Tensor& x) {
      if (runs) ++*runs;
      const at::Tensor normed = kernels::rms_norm(x, copy.scale, 1e-6);
      const at::Tensor hidden = at::dropout(at::silu(at::linear(normed, copy.first)), 0.3, true);
      return x + at::dropout(at::linear(hidden, copy.second), 0.3, true);
    };
  }
};

/// Loss, gradients of input and weights, and the generator's next number.
std::vector<at::Tensor> results(const std::function<at::Tensor(const at::Tensor&)>& forward,
                                const Layers& layers, const at::Tensor& input) {
  torch::manual_seed(11);
  for (const at::Tensor& parameter : {layers.first, layers.second, layers.scale, input}) {
    parameter.mutable_grad() = at::Tensor();
  }
  const at::Tensor loss = forward(input).square().mean();
  loss.backward();
  std::vector<at::Tensor> all = {loss.detach(), layers.first.grad().clone(),
                                 layers.second.grad().clone(), layers.scale.grad().clone()};
  if (input.requires_grad()) all.push_back(input.grad().clone());
  all.push_back(torch::rand({1}));
  return all;
}

void check_equal(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& wanted) {
  REQUIRE(got.size() == wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("result " << i);
    CHECK(at::equal(got[i], wanted[i]));
  }
}

TEST_CASE("checkpoint: gradients, loss and the generator are bit-equal with dropout on") {
  const Layers layers;
  for (const bool input_trains : {true, false}) {
    const at::Tensor x = torch::randn({6, 16}).requires_grad_(input_trains);
    int runs = 0;
    const Block plain = layers.block(), counted = layers.block(&runs);
    const auto wanted = results([&](const at::Tensor& in) { return plain(plain(in)); }, layers, x);
    const auto got =
        results([&](const at::Tensor& in) { return checkpoint(counted, checkpoint(counted, in)); },
                layers, x);
    check_equal(got, wanted);
    CHECK(runs == 4);
    // One kept, one recomputed.
    check_equal(
        results([&](const at::Tensor& in) { return plain(checkpoint(plain, in)); }, layers, x),
        wanted);
  }
}

TEST_CASE("checkpoint: a block within a block") {
  const Layers layers;
  const at::Tensor x = torch::randn({6, 16}).requires_grad_();
  const Block plain = layers.block();
  const Block outer = [&](const at::Tensor& in) { return plain(checkpoint(plain, in)); };
  const auto wanted = results([&](const at::Tensor& in) { return plain(plain(in)); }, layers, x);
  check_equal(results([&](const at::Tensor& in) { return checkpoint(outer, in); }, layers, x),
              wanted);
}

TEST_CASE("checkpoint: a retained graph runs backward twice") {
  const Layers layers;
  const at::Tensor x = torch::randn({6, 16}).requires_grad_();
  torch::manual_seed(11);
  const at::Tensor loss = checkpoint(layers.block(), x).square().mean();
  loss.backward({}, /*retain_graph=*/true);
  const at::Tensor once = x.grad().clone();
  loss.backward();
  CHECK(at::equal(x.grad(), 2 * once));
}

TEST_CASE("checkpoint: frozen parameters get no gradient, the rest are as without") {
  Layers layers;
  layers.first.set_requires_grad(false);
  const at::Tensor x = torch::randn({6, 16}).requires_grad_();
  const auto run = [&](bool again) {
    torch::manual_seed(11);
    x.mutable_grad() = layers.second.mutable_grad() = at::Tensor();
    const Block block = layers.block();
    (again ? checkpoint(block, x) : block(x)).sum().backward();
    return std::vector{x.grad().clone(), layers.second.grad().clone()};
  };
  check_equal(run(true), run(false));
  CHECK_FALSE(layers.first.grad().defined());
}

TEST_CASE("checkpoint: without grad mode the block runs once and saves nothing") {
  const Layers layers;
  int runs = 0;
  const torch::NoGradGuard no_grad;
  CHECK_FALSE(checkpoint(layers.block(&runs), torch::randn({6, 16})).requires_grad());
  CHECK(runs == 1);
}

TEST_CASE("checkpoint: what the block saved is dropped") {
  const at::Tensor x = torch::randn({4, 4}).requires_grad_();
  c10::weak_intrusive_ptr<c10::TensorImpl> inner(x.getIntrusivePtr());
  const at::Tensor y = checkpoint(
      [&](const at::Tensor& in) {
        const at::Tensor middle = in.exp();
        inner = c10::weak_intrusive_ptr<c10::TensorImpl>(middle.getIntrusivePtr());
        return middle.square();
      },
      x);
  CHECK(inner.expired());
  y.sum().backward();
  CHECK(at::allclose(x.grad(), 2 * (2 * x.detach()).exp()));
}

TEST_CASE("checkpoint: a block that computes less the second time is refused") {
  const at::Tensor x = torch::randn({4, 4}).requires_grad_();
  int runs = 0;
  const at::Tensor y =
      checkpoint([&](const at::Tensor& in) { return ++runs == 1 ? in.exp().exp() : in.exp(); }, x);
  CHECK_THROWS_WITH(y.sum().backward(), Catch::Contains("2 tensors in its first run and only 1"));
}

TEST_CASE("checkpoint: an error in the second run reaches the caller and leaves the generator") {
  const at::Tensor x = torch::randn({4, 4}).requires_grad_();
  int runs = 0;
  const at::Tensor y = checkpoint(
      [&](const at::Tensor& in) {
        if (++runs == 2) throw Error("second run");
        return at::dropout(in.exp(), 0.5, true);
      },
      x);
  torch::manual_seed(1);
  CHECK_THROWS_WITH(y.sum().backward(), Catch::Contains("second run"));
  const at::Tensor next = torch::rand({1});
  torch::manual_seed(1);
  CHECK(at::equal(next, torch::rand({1})));
}

}  // namespace
}  // namespace hone::nn
