#include "hone/nn/dynamic_attention.h"

#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/optim/sgd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <fstream>
#include <sstream>

#include "hone/core/error.h"
#include "hone/nn/checkpointing.h"
#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::gradient_error;
using test::relative_difference;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

at::Tensor random(at::IntArrayRef sizes, int64_t seed = 5) {
  torch::manual_seed(seed);
  return torch::randn(sizes, at::kDouble);
}

/// Every position may attend to itself and to about half of the others.
at::Tensor random_mask(int64_t batch, int64_t length) {
  return at::rand({batch, length, length}).gt(0.5).logical_or(at::eye(length, at::kBool));
}

/// Head by head, with an explicit mask.
at::Tensor naive(DynamicAttention& m, const at::Tensor& x, const at::Tensor& mask) {
  Attention& a = m->attention;
  const int64_t B = x.size(0), T = x.size(1), E = a->options.head_dim;
  const at::Tensor flat = x.reshape({B * T, -1});
  const at::Tensor q = a->q_proj(flat).view({B, T, -1, E}), k = a->k_proj(flat).view({B, T, -1, E}),
                   v = a->v_proj(flat).view({B, T, -1, E});
  at::Tensor may = mask.defined() ? mask : at::ones({B, T, T}, at::kBool);
  if (m->options.causal) may = may.tril();
  std::vector<at::Tensor> heads;
  for (int64_t h = 0; h < q.size(2); ++h) {
    const int64_t shared = a->kv_head(h);
    const at::Tensor scores = at::bmm(q.select(2, h), k.select(2, shared).transpose(1, 2))
                                  .div(std::sqrt(static_cast<double>(E)))
                                  .masked_fill(may.logical_not(), -1e30);
    const double on = a->gate->mask()[h] ? 1 : 0;
    heads.push_back(at::bmm(scores.softmax(-1), v.select(2, shared)) * on);
  }
  return a->o_proj(at::cat(heads, 2).view({B * T, -1})).view_as(x);
}

DynamicAttention make(bool causal, bool rotary = false) {
  torch::manual_seed(3);
  return DynamicAttention({.dim = 6,
                           .num_heads = 6,
                           .num_kv_heads = 2,
                           .head_dim = 2,
                           .bias = true,
                           .causal = causal,
                           .rotary = rotary},
                          kDouble);
}

TEST_CASE("DynamicAttention equals the plain formula, masked, causal, off and cut") {
  const at::Tensor x = random({3, 5, 6}), mask = random_mask(3, 5);
  for (const bool causal : {false, true}) {
    for (const at::Tensor& m : {at::Tensor(), mask}) {
      INFO("causal " << causal << ", mask " << m.defined());
      DynamicAttention attention = make(causal);
      CHECK(relative_difference(attention(x, m), naive(attention, x, m)) < 1e-10);
      attention->attention->gate->set_mask({true, true, false, true, false, false});
      const at::Tensor off = attention(x, m);
      CHECK(relative_difference(off, naive(attention, x, m)) < 1e-10);
      CHECK_FALSE(attention->cut().empty());
      CHECK(attention->attention->options.num_heads == 3);
      CHECK(relative_difference(attention(x, m), off) < 1e-10);
      CHECK(relative_difference(attention(x, m), naive(attention, x, m)) < 1e-10);
    }
  }
}

TEST_CASE("DynamicAttention: a position that may attend to nothing gives the bias") {
  DynamicAttention attention = make(false);
  at::Tensor mask = at::ones({1, 4, 4}, at::kBool);
  mask[0][2] = false;
  const at::Tensor y = attention(random({1, 4, 6}), mask);
  CHECK(relative_difference(y[0][2], attention->attention->o_proj->bias) < 1e-12);
}

void copy_parameters(torch::nn::Module& to, const torch::nn::Module& from) {
  const torch::NoGradGuard no_grad;
  const auto source = from.named_parameters();
  for (auto& item : to.named_parameters()) item.value().copy_(source[item.key()]);
}

TEST_CASE("DynamicAttention with all heads on is Attention to the bit, forward and backward") {
  for (const bool rotary : {false, true}) {
    DynamicAttention dynamic(
        {.dim = 24, .num_heads = 4, .num_kv_heads = 2, .causal = true, .rotary = rotary});
    CHECK(dynamic->attention->gate->measuring());
    Attention plain(AttentionOptions{.dim = 24, .num_heads = 4, .num_kv_heads = 2, .head_dim = 6},
                    at::TensorOptions());
    copy_parameters(*plain, *dynamic->attention);
    AttentionContext c = context({0, 5, 10}, at::kFloat);
    if (!rotary) c.cos = c.sin = at::Tensor();
    const at::Tensor x = random({2, 5, 24}).to(at::kFloat).requires_grad_();
    const at::Tensor y = dynamic(x), wanted = plain(x.view({10, 24}), c).view({2, 5, 24});
    CHECK(at::equal(y, wanted));
    const auto gradients = [&](const at::Tensor& out, const torch::nn::Module& module) {
      std::vector<at::Tensor> leaves = module.parameters();
      leaves.push_back(x);
      return torch::autograd::grad({(out * out.exp()).sum()}, leaves);
    };
    const auto got = gradients(y, *dynamic->attention), expected = gradients(wanted, *plain);
    for (size_t i = 0; i < got.size(); ++i) CHECK(at::equal(got[i], expected[i]));
  }
}

enum class State { kMeasured, kPlain, kMasked, kCut, kCutUneven };

TEST_CASE("DynamicAttention: gradient in all states, plain and checkpointed") {
  const at::Tensor x = random({2, 3, 6}), mask = random_mask(2, 3);
  // Masked and as it is; causal, rotated and checkpointed.
  for (const auto state :
       {State::kMeasured, State::kPlain, State::kMasked, State::kCut, State::kCutUneven}) {
    for (const bool causal : {false, true}) {
      const bool again = causal;
      INFO("state " << static_cast<int>(state) << ", causal " << causal);
      DynamicAttention m = make(causal, /*rotary=*/causal);
      Gate& gate = m->attention->gate;
      if (state == State::kPlain) gate->measure(std::nullopt);
      if (state == State::kMasked) gate->set_mask({true, false, false, true, true, true});
      if (state == State::kCut) gate->set_mask({true, true, false, false, true, true});
      if (state == State::kCutUneven) gate->set_mask({true, true, false, false, false, true});
      if (state == State::kCut || state == State::kCutUneven) m->cut();
      std::vector<at::Tensor*> members;
      std::vector<at::Tensor> inputs = {x};
      for (Linear l : {m->attention->q_proj, m->attention->k_proj, m->attention->v_proj,
                       m->attention->o_proj}) {
        members.insert(members.end(), {&l->weight, &l->bias});
      }
      for (const at::Tensor* member : members) inputs.push_back(*member);
      const Block forward = [&](const at::Tensor& in) {
        return m(in, causal ? at::Tensor() : mask);
      };
      CHECK(gradient_error(
                [&](const std::vector<at::Tensor>& in) {
                  for (size_t i = 0; i < members.size(); ++i) *members[i] = in[i + 1];
                  return again ? checkpoint(forward, in[0]) : forward(in[0]);
                },
                inputs) == "");
    }
  }
}

TEST_CASE("DynamicAttention: soft and physical pruning train on alike") {
  const at::Tensor x = random({2, 5, 6}), target = random({2, 5, 6}, 6);
  DynamicAttention soft = make(false), hard = make(false);
  for (DynamicAttention* m : {&soft, &hard}) {
    (*m)->attention->gate->set_mask({true, true, false, true, false, false});
  }
  hard->cut();
  for (int step = 0; step < 3; ++step) {
    for (DynamicAttention* m : {&soft, &hard}) {
      // Without momentum or decay, so that heads that are off stand still.
      torch::optim::SGD optimizer((*m)->parameters(), 0.05);
      optimizer.zero_grad();
      torch::mse_loss((*m)(x), target).backward();
      optimizer.step();
    }
    CHECK(relative_difference(hard(x), soft(x)) < 1e-10);
  }
}

/// Heads 1 and 4 reach the output not at all.
DynamicAttention with_idle_heads(const PruneOptions& prune) {
  torch::manual_seed(3);
  DynamicAttention m({.dim = 6, .num_heads = 6, .head_dim = 2, .causal = true, .prune = prune},
                     kDouble);
  const torch::NoGradGuard no_grad;
  for (const int64_t head : {1, 4})
    m->attention->o_proj->weight.slice(1, 2 * head, 2 * head + 2) = 0;
  return m;
}

TEST_CASE("DynamicAttention: the heads that do nothing go, and come back when they do") {
  DynamicAttention m = with_idle_heads({.importance = Importance::kGateGradient,
                                        .target = 1 / 3.0,
                                        .start = 0,
                                        .end = 4,
                                        .every = 2});
  const at::Tensor x = random({2, 5, 6});
  const auto pass = [&] {
    m(x).square().sum().backward();
    m->step();
  };
  CHECK(m->attention->gate->alive() == 6);
  pass();
  CHECK(m->attention->gate->alive() == 6);
  pass();
  const std::vector<bool> idle_off = {true, false, true, true, false, true};
  CHECK(m->attention->gate->mask() == idle_off);
  {
    const torch::NoGradGuard no_grad;  // now heads 0 and 2 are idle instead
    at::Tensor weight = m->attention->o_proj->weight;
    weight.slice(1, 2, 4).copy_(weight.slice(1, 0, 2));
    weight.slice(1, 8, 10).copy_(weight.slice(1, 4, 6));
    weight.slice(1, 0, 2) = 0;
    weight.slice(1, 4, 6) = 0;
  }
  pass();
  CHECK(m->attention->gate->mask() == idle_off);
  pass();
  CHECK(m->attention->gate->mask() == std::vector<bool>{false, true, false, true, true, true});
  CHECK_FALSE(m->attention->gate->measured());  // the schedule is over
  pass();
  CHECK(m->attention->gate->alive() == 4);
  m->cut();
  CHECK(m->attention->options.num_heads == 4);
  CHECK(m->cut().empty());
}

TEST_CASE("DynamicAttention: what was cut counts toward the target") {
  DynamicAttention m = with_idle_heads({.target = 0.5, .start = 0, .end = 4, .every = 2});
  const at::Tensor x = random({2, 5, 6});
  for (int step = 0; step < 4; ++step) {
    m(x).square().sum().backward();
    m->step();
    m->cut();
  }
  CHECK(m->attention->options.num_heads == 3);
}

TEST_CASE("DynamicAttention: whole groups, and heads chosen at random") {
  const at::Tensor x = random({2, 5, 6});
  DynamicAttention groups({.dim = 6,
                           .num_heads = 6,
                           .num_kv_heads = 3,
                           .head_dim = 2,
                           .prune = {.target = 0.34, .start = 0, .end = 1, .whole_groups = true}},
                          kDouble);
  groups(x).square().sum().backward();
  groups->step();
  groups->cut();
  CHECK(groups->attention->options.num_heads == 4);
  CHECK(groups->attention->options.num_kv_heads == 2);
  CHECK(groups->state().cut == 1);
  DynamicAttention drawn(
      {.dim = 6,
       .num_heads = 6,
       .head_dim = 2,
       .prune = {.rule = PruneRule::kRandom, .target = 0.5, .start = 0, .end = 1}});
  CHECK_FALSE(drawn->attention->gate->measured());
  drawn->step();
  CHECK(drawn->attention->gate->alive() == 3);
}

TEST_CASE(
    "DynamicAttention: resumed in the middle of its schedule, the run is the same to the bit") {
  const PruneOptions prune = {.target = 0.5, .start = 0, .end = 8, .every = 3};
  const auto train = [&](DynamicAttention& m, int from, int to) {
    torch::optim::SGD optimizer(m->parameters(), 0.05);
    for (int step = from; step < to; ++step) {
      optimizer.zero_grad();
      m(random({2, 5, 6}, step)).square().sum().backward();
      optimizer.step();
      m->step();
    }
  };
  DynamicAttention whole = with_idle_heads(prune), first = with_idle_heads(prune),
                   second = with_idle_heads(prune);
  train(whole, 0, 10);
  train(first, 0, 5);
  copy_parameters(*second, *first);
  second->restore(first->state());
  train(second, 5, 10);
  CHECK(second->attention->gate->mask() == whole->attention->gate->mask());
  CHECK(second->attention->gate->alive() == 3);
  for (const auto& item : whole->named_parameters()) {
    CHECK(at::equal(second->named_parameters()[item.key()], item.value()));
  }
}

TEST_CASE("DynamicAttention: what cannot be is named") {
  DynamicAttention m({.dim = 16, .num_heads = 8});
  const at::Tensor x = at::ones({2, 8, 16});
  CHECK_THROWS_WITH(
      m(x, at::ones({2, 8}, at::kBool)),
      Catch::Contains("DynamicAttention: mask must be [B, T, S] = [2, 8, 8], got [2, 8]"));
  CHECK_THROWS_WITH(m(x, at::ones({2, 8, 8})), Catch::Contains("mask must be bool, got Float"));
  CHECK_THROWS_WITH(m(at::ones({8, 16})), Catch::Contains("x must be [B, T, D] with D = 16"));
  CHECK_THROWS_WITH(DynamicAttention({.dim = 16, .num_heads = 3}),
                    Catch::Contains("num_heads must divide dim"));
  CHECK_THROWS_WITH(DynamicAttention({.dim = 16, .num_heads = 8, .num_kv_heads = 3}),
                    Catch::Contains("num_kv_heads must divide num_heads, got 3 and 8"));
  CHECK_THROWS_WITH(DynamicAttention({.num_heads = 3}), Catch::Contains("dim and num_heads"));
  CHECK_THROWS_AS(DynamicAttention({.dim = 16, .num_heads = 8, .prune = {.target = 0.95}}), Error);
  DynamicAttention unmeasured({.dim = 16, .num_heads = 8, .prune = {.start = 1, .end = 2}});
  CHECK_THROWS_WITH(unmeasured->step(), Catch::Contains("run a backward pass in training mode"));
  DynamicAttention other({.dim = 16, .num_heads = 4});
  CHECK_THROWS_WITH(other->restore(m->state()), Catch::Contains("must be of 4 heads, got 8"));
}

std::string contents(const std::string& path) {
  std::ifstream file(HONE_SOURCE_DIR + ("/" + path));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST_CASE("docs/dynamic-attention.md quotes the example that the tests run") {
  const std::string example = contents("tests/nn/dynamic_attention_example.cpp");
  REQUIRE(example.size() > 100);
  CHECK_THAT(contents("docs/dynamic-attention.md"), Catch::Contains("```cpp\n" + example + "```"));
}

}  // namespace
}  // namespace hone::nn
