// Units that are cut against the same units switched off: Attention's heads, Mlp's channels,
// blocks.
#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <map>

#include "hone/nn/checkpointing.h"
#include "hone/nn/decoder_block.h"
#include "hone/nn/dense_block.h"
#include "hone/optim/adamw.h"
#include "nn/modules.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::nn {
namespace {

using test::gradient_error;
using test::relative_difference;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

enum class Adapter { kNone, kLora, kDora };

AttentionOptions attention_options(bool extras) {
  return {.dim = 4,
          .num_heads = 6,
          .num_kv_heads = 2,
          .head_dim = 2,
          .qkv_bias = extras,
          .output_bias = extras,
          .qk_norm = extras};
}

void adapt(std::vector<Linear> linears, Adapter adapter) {
  if (adapter == Adapter::kNone) return;
  for (Linear& linear : linears) {
    linear->add_lora({.rank = 2, .scale = 1.5, .dora = adapter == Adapter::kDora},
                     at::make_generator<at::CPUGeneratorImpl>(1));
    const torch::NoGradGuard no_grad;
    linear->lora_B.normal_();
    if (adapter == Adapter::kDora) linear->lora_magnitude_vector.uniform_(0.5, 2);
  }
}

Attention make_attention(bool extras, Adapter adapter) {
  Attention m = randomised(Attention(attention_options(extras), kDouble));
  adapt({m->q_proj, m->k_proj, m->v_proj, m->o_proj}, adapter);
  return m;
}

Mlp make_mlp(bool bias, Adapter adapter) {
  Mlp m = randomised(Mlp(MlpOptions{.dim = 4, .hidden = 7, .bias = bias}, kDouble));
  adapt({m->gate_proj, m->up_proj, m->down_proj}, adapter);
  return m;
}

std::vector<bool> mask_of(const std::vector<int64_t>& keep, int64_t units) {
  std::vector<bool> mask(units, false);
  for (const int64_t unit : keep) mask[unit] = true;
  return mask;
}

/// Gradients by name after loss = sum(c * y).
std::map<std::string, at::Tensor> gradients(torch::nn::Module& module, const at::Tensor& y) {
  module.zero_grad();
  torch::manual_seed(12);
  (y * torch::randn_like(y)).sum().backward();
  std::map<std::string, at::Tensor> result;
  for (const auto& item : module.named_parameters()) {
    if (item.value().grad().defined()) result[item.key()] = item.value().grad().clone();
  }
  return result;
}

/// The masked module's gradients, cut as `cuts` say, are those of the cut module.
void check_gradients(std::map<std::string, at::Tensor> masked, const std::vector<Cut>& cuts,
                     const std::map<std::string, at::Tensor>& cut) {
  for (const Cut& c : cuts) {
    const auto found = masked.find(c.parameter);
    if (found != masked.end()) found->second = found->second.index_select(c.dim, c.keep);
  }
  REQUIRE(masked.size() == cut.size());
  for (const auto& [name, gradient] : cut) {
    INFO(name);
    CHECK(relative_difference(gradient, masked.at(name)) < 1e-10);
  }
}

/// DoRA's magnitude m was scaled by r where the row norms fell, so that dL/dm is 1/r as large.
void scale_magnitude(std::map<std::string, at::Tensor>& gradients, const std::string& layer,
                     const at::Tensor& before, const Linear& after) {
  const auto found = gradients.find(layer + ".lora_magnitude_vector");
  if (found == gradients.end()) return;
  found->second = found->second * before / after->lora_magnitude_vector.detach();
}

TEST_CASE("Attention: heads cut and heads switched off give equal outputs and gradients") {
  const AttentionContext c = context({0, 5, 9}, at::kDouble, 2);
  const at::Tensor x = torch::randn({9, 4}, at::kDouble);
  // One group left, even groups, uneven groups, one head.
  const std::vector<std::vector<int64_t>> keeps = {{3, 4, 5}, {0, 2, 3, 4}, {0, 1, 2, 4}, {4}};
  for (const auto& keep : keeps) {
    for (const bool extras : {false, true}) {
      for (const auto adapter : {Adapter::kNone, Adapter::kLora, Adapter::kDora}) {
        INFO("keep " << at::IntArrayRef(keep) << ", biases and norms " << extras << ", adapter "
                     << static_cast<int>(adapter));
        Attention masked = make_attention(extras, adapter), cut = make_attention(extras, adapter);
        masked->add_gate();
        cut->add_gate();
        masked->gate->set_mask(mask_of(keep, 6));
        cut->gate->set_mask(mask_of(keep, 6));
        const at::Tensor magnitude = cut->o_proj->lora_magnitude_vector;
        const std::vector<Cut> cuts = cut->cut_units(keep);
        CHECK(cut->options.num_heads == std::ssize(keep));
        CHECK(cut->gate->alive() == std::ssize(keep));
        const at::Tensor wanted = masked(x, c), got = cut(x, c);
        CHECK(relative_difference(got, wanted) < 1e-12);
        auto of_masked = gradients(*masked, wanted);
        scale_magnitude(of_masked, "o_proj", magnitude, cut->o_proj);
        check_gradients(of_masked, cuts, gradients(*cut, got));
      }
    }
  }
}

TEST_CASE("Attention: after a cut AdamW goes on, with its state cut alike") {
  const AttentionContext c = context({0, 5, 9}, at::kDouble, 2);
  const at::Tensor x = torch::randn({9, 4}, at::kDouble);
  const std::vector<int64_t> keep = {0, 1, 5};
  for (const auto adapter : {Adapter::kNone, Adapter::kLora}) {
    Attention masked = make_attention(true, adapter), cut = make_attention(true, adapter);
    masked->add_gate();
    const auto trained = [](Attention& m) {
      std::vector<std::pair<std::string, at::Tensor>> parameters;
      for (const auto& item : m->named_parameters()) {
        if (item.value().requires_grad()) parameters.emplace_back(item.key(), item.value());
      }
      return parameters;
    };
    optim::FusedAdamW of_masked(trained(masked), {.lr = 0.01}), of_cut(trained(cut), {.lr = 0.01});
    const auto step = [&](Attention& m, optim::FusedAdamW& optimizer) {
      optimizer.zero_grad();
      m(x, c).square().sum().backward();
      optimizer.step();
    };
    for (int i = 0; i < 6; ++i) {
      if (i == 3) {
        masked->gate->set_mask(mask_of(keep, 6));
        for (const Cut& one : cut->cut_units(keep)) {
          if (!of_cut.has(one.parameter)) continue;  // frozen beside its adapter
          of_cut.cut(one.parameter, cut->named_parameters()[one.parameter], one.dim, one.keep);
        }
      }
      step(masked, of_masked);
      step(cut, of_cut);
      CHECK(relative_difference(cut(x, c), masked(x, c)) < 1e-10);
    }
  }
}

TEST_CASE("Attention: what a cut leaves behind") {
  Attention m = make_attention(true, Adapter::kLora);
  m->cut_units({0, 1, 2, 4});  // of groups {0, 1, 2} and {3, 4, 5}
  CHECK(m->options.kv_head_of == std::vector<int64_t>{0, 0, 0, 1});
  CHECK(m->cached_heads() == 4);
  CHECK(m->k_proj->weight.sizes() == at::IntArrayRef({4, 4}));
  CHECK(m->q_proj->weight.sizes() == at::IntArrayRef({8, 4}));
  CHECK(m->o_proj->weight.sizes() == at::IntArrayRef({4, 8}));
  CHECK_FALSE(m->q_proj->weight.requires_grad());
  CHECK(m->q_proj->lora_B.requires_grad());
  CHECK(m->q_proj->lora_B.is_leaf());
  CHECK(m->named_parameters()["q_proj.lora_B"].is_same(m->q_proj->lora_B));
  const std::vector<Cut> cuts = m->cut_units({2, 3});  // once more: now one of each
  CHECK(m->options.kv_head_of.empty());
  CHECK(m->cached_heads() == 2);
  CHECK(cuts.front().parameter == "q_proj.weight");
  CHECK(cuts.front().dim == 0);
  CHECK(at::equal(cuts.front().keep, at::arange(4, 8, at::kLong)));
  m->cut_units({1});
  CHECK(m->k_proj->weight.sizes() == at::IntArrayRef({2, 4}));
  CHECK(m->options.num_kv_heads == 1);
}

TEST_CASE("Attention: shared projections are registered once and cut in neither layer") {
  Attention first = make_attention(true, Adapter::kNone),
            second = make_attention(true, Adapter::kNone);
  const StepShape step{.longest = 8, .tokens = 8};
  const int64_t flops = second->flops(4), gradients = second->footprint(step).gradients;
  second->share_projections(*first);
  CHECK(second->q_proj.get() == first->q_proj.get());
  CHECK_FALSE(second->named_parameters().contains("k_proj.weight"));
  CHECK(second->flops(4) == flops);
  CHECK(second->footprint(step).gradients == gradients);
  REQUIRE(second->borrowed().size() == 4);
  CHECK(second->borrowed()[3].name == "k_proj.bias");
  CHECK(second->borrowed()[3].tensor.is_same(first->k_proj->bias));
  CHECK(first->borrowed().empty());
  for (Attention* layer : {&first, &second}) {
    CHECK_THROWS_WITH((*layer)->cut_units({0, 1}), Catch::Contains("no heads can be cut"));
  }
  Attention other(AttentionOptions{.dim = 4, .num_heads = 2, .num_kv_heads = 2, .head_dim = 2},
                  kDouble);
  CHECK_THROWS_WITH(other->share_projections(*first), Catch::Contains("layers of the same sizes"));
}

TEST_CASE("Attention: an uneven layer is made again from its options") {
  Attention cut = make_attention(true, Adapter::kNone);
  cut->cut_units({0, 1, 2, 4});
  Attention made(cut->options, kDouble);
  const torch::NoGradGuard no_grad;
  for (auto& item : made->named_parameters()) {
    item.value().copy_(cut->named_parameters()[item.key()]);
  }
  const AttentionContext c = context({0, 5}, at::kDouble, 2);
  const at::Tensor x = torch::randn({5, 4}, at::kDouble);
  CHECK(at::equal(made(x, c), cut(x, c)));
}

TEST_CASE("Attention: a cut layer with a cache gives what it gives without") {
  for (const std::vector<int64_t>& keep : {std::vector<int64_t>{0, 1, 2, 4}, {0, 1, 3, 4}}) {
    Attention m = make_attention(true, Adapter::kNone);
    m->cut_units(keep);
    m->eval();
    const torch::NoGradGuard no_grad;
    const at::Tensor x = torch::randn({5, 4}, at::kDouble);
    AttentionContext all = context({0, 5}, at::kDouble, 2);
    const at::Tensor wanted = m(x, all);
    LayerCache cache;
    for (const std::vector<int64_t>& sizes : m->cache_shape()) {
      cache.tensors.push_back(at::zeros({1, 8, sizes[0], sizes[1]}, kDouble));
    }
    std::vector<at::Tensor> parts;
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 3}, {3, 4}, {4, 5}}) {
      cache.places = {0, {begin}, at::arange(begin, end, at::kLong), torch::tensor({end})};
      const AttentionContext part{kernels::Sequences::from_offsets({0, end - begin}, at::kCPU),
                                  all.cos.slice(0, begin, end), all.sin.slice(0, begin, end),
                                  &cache};
      parts.push_back(m(x.slice(0, begin, end), part));
    }
    CHECK(relative_difference(at::cat(parts), wanted) < 1e-12);
  }
}

/// The tensors of a layer that train, as members that a gradient check can swap.
std::vector<at::Tensor*> trained(std::vector<Linear> linears) {
  std::vector<at::Tensor*> members;
  for (Linear& l : linears) {
    for (at::Tensor* t :
         {&l->weight, &l->bias, &l->lora_A, &l->lora_B, &l->lora_magnitude_vector}) {
      // The row norms of DoRA count as constants: only its magnitude has the full gradient.
      const bool whole = !l->lora_magnitude_vector.defined() || t == &l->lora_magnitude_vector;
      if (t->defined() && t->requires_grad() && whole) members.push_back(t);
    }
  }
  return members;
}

using Forward = std::function<at::Tensor(const at::Tensor&)>;

/// Gradient of `forward` to x and to `members`, plain and checkpointed.
void check_by_differences(const Forward& forward, const at::Tensor& x,
                          const std::vector<at::Tensor*>& members) {
  std::vector<at::Tensor> inputs = {x};
  for (const at::Tensor* member : members) inputs.push_back(*member);
  for (const bool again : {false, true}) {
    INFO("checkpointed " << again);
    CHECK(gradient_error(
              [&](const std::vector<at::Tensor>& in) {
                for (size_t i = 0; i < members.size(); ++i) *members[i] = in[i + 1];
                return again ? checkpoint(forward, in[0]) : forward(in[0]);
              },
              inputs) == "");
  }
}

enum class State { kOn, kMeasured, kMasked, kMaskedMeasured, kCut, kCutUneven };

TEST_CASE("Attention: gradient in all states") {
  const AttentionContext c = context({0, 3, 5}, at::kDouble, 2);
  const at::Tensor x = torch::randn({5, 4}, at::kDouble);
  for (const auto adapter : {Adapter::kNone, Adapter::kLora, Adapter::kDora}) {
    for (const auto state : {State::kOn, State::kMeasured, State::kMasked, State::kMaskedMeasured,
                             State::kCut, State::kCutUneven}) {
      INFO("adapter " << static_cast<int>(adapter) << ", state " << static_cast<int>(state));
      Attention m = make_attention(adapter == Adapter::kNone, adapter);
      m->add_gate();
      if (state == State::kCut) m->cut_units({1, 2, 3, 4});
      if (state == State::kCutUneven) m->cut_units({0, 1, 5});
      if (state == State::kMasked || state == State::kMaskedMeasured) {
        m->gate->set_mask({true, false, true, true, false, true});
      }
      if (state == State::kMeasured || state == State::kMaskedMeasured) {
        m->gate->measure(Importance::kGateGradient);
      }
      check_by_differences([&](const at::Tensor& in) { return m(in, c); }, x,
                           trained({m->q_proj, m->k_proj, m->v_proj, m->o_proj}));
    }
  }
}

TEST_CASE("Mlp: channels cut and channels switched off give equal outputs and gradients") {
  const at::Tensor x = torch::randn({5, 4}, at::kDouble);
  const std::vector<int64_t> keep = {0, 2, 3, 6};
  for (const bool bias : {false, true}) {
    for (const auto adapter : {Adapter::kNone, Adapter::kLora, Adapter::kDora}) {
      INFO("bias " << bias << ", adapter " << static_cast<int>(adapter));
      Mlp masked = make_mlp(bias, adapter), cut = make_mlp(bias, adapter);
      masked->add_gate();
      masked->gate->set_mask(mask_of(keep, 7));
      const at::Tensor magnitude = cut->down_proj->lora_magnitude_vector;
      const std::vector<Cut> cuts = cut->cut_units(keep);
      CHECK(cut->options.hidden == 4);
      const at::Tensor wanted = masked(x), got = cut(x);
      CHECK(relative_difference(got, wanted) < 1e-12);
      auto of_masked = gradients(*masked, wanted);
      scale_magnitude(of_masked, "down_proj", magnitude, cut->down_proj);
      check_gradients(of_masked, cuts, gradients(*cut, got));
      for (Mlp* m : {&masked, &cut}) {
        check_by_differences([&](const at::Tensor& in) { return (*m)(in); }, x,
                             trained({(*m)->gate_proj, (*m)->up_proj, (*m)->down_proj}));
      }
    }
  }
}

TEST_CASE("Gates that are all on change no bit of a block, forward or backward") {
  const DecoderBlockOptions options = {.attention = attention_options(true),
                                       .mlp = {.dim = 4, .hidden = 7}};
  const AttentionContext c = context({0, 5, 9}, at::kFloat, 2);
  torch::manual_seed(3);
  const at::Tensor x = torch::randn({9, 4}).requires_grad_();
  const auto run = [&](bool gates, std::optional<Importance> kind, bool again) {
    DecoderBlock block = randomised(DecoderBlock(options, at::TensorOptions()));
    std::vector<Gate> all;
    if (gates) {
      block->add_gate();
      block->self_attn->add_gate();
      block->mlp->add_gate();
      all = {block->gate, block->self_attn->gate, block->mlp->gate};
    }
    for (Gate& gate : all) gate->measure(kind);
    const Block forward = [&](const at::Tensor& in) { return block(in, c); };
    const at::Tensor y = again ? checkpoint(forward, x) : forward(x);
    x.mutable_grad() = at::Tensor();
    auto result = gradients(*block, y);
    result["x"] = x.grad();
    result["y"] = y.detach();
    for (Gate& gate : all) CHECK(gate->batches() == (kind ? 1 : 0));
    return result;
  };
  const auto wanted = run(false, {}, false);
  for (const bool again : {false, true}) {
    for (const std::optional<Importance> kind :
         {std::optional<Importance>(), {Importance::kTaylor}, {Importance::kOutputNorm}}) {
      const auto got = run(true, kind, again);
      REQUIRE(got.size() == wanted.size());
      for (const auto& [name, value] : wanted) {
        INFO(name);
        CHECK(at::equal(got.at(name), value));
      }
    }
  }
}

TEST_CASE("DecoderBlock: switched off it is its input, and still measured") {
  const DecoderBlockOptions options = {.attention = attention_options(true),
                                       .mlp = {.dim = 4, .hidden = 7}};
  DecoderBlock block = randomised(DecoderBlock(options, kDouble));
  const AttentionContext c = context({0, 5}, at::kDouble, 2);
  const at::Tensor x = torch::randn({5, 4}, at::kDouble).requires_grad_();
  const at::Tensor on = block(x, c);
  block->add_gate();
  block->gate->set_mask({false});
  CHECK(block(x, c).is_same(x));  // nothing was computed
  CHECK(checkpoint([&](const at::Tensor& in) { return block(in, c); }, x).is_same(x));
  block->gate->measure(Importance::kGateGradient);
  const at::Tensor y = block(x, c);
  CHECK(at::equal(y, x));
  y.square().sum().backward();
  CHECK(at::equal(x.grad(), 2 * x));
  const double wanted = (2 * x * (on - x)).sum().abs().item<double>();
  CHECK(block->gate->importance().at(0) == Approx(wanted).epsilon(1e-10));
  block->gate->set_mask({true});
  CHECK(gradient_error([&](const auto& in) { return block(in[0], c); }, {x.detach()}) == "");
}

TEST_CASE("Cuts and maps that cannot be are named") {
  Attention m = make_attention(false, Adapter::kNone);
  CHECK_THROWS_WITH(m->cut_units({}), Catch::Contains("cut_units must keep at least one of 6"));
  for (const std::vector<int64_t>& keep : {std::vector<int64_t>{1, 1}, {2, 1}, {6}, {-1}}) {
    CHECK_THROWS_WITH(m->cut_units(keep), Catch::Contains("ascending positions in [0, 6), got"));
  }
  Mlp mlp = make_mlp(false, Adapter::kNone);
  CHECK_THROWS_WITH(mlp->cut_units({7}), Catch::Contains("cut_units must be given"));
  AttentionOptions options = attention_options(false);
  options.kv_head_of = {0, 0, 0, 1, 1, 2};
  CHECK_THROWS_WITH(Attention(options, kDouble),
                    Catch::Contains("kv_head_of must give each of 6 query heads one of 2"));
}

}  // namespace
}  // namespace hone::nn
