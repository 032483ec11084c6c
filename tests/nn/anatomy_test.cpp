#include "hone/nn/anatomy.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <map>

#include "hone/nn/decoder_block.h"
#include "hone/nn/dense_block.h"
#include "hone/nn/embedding.h"
#include "support/catch.h"

namespace hone::nn {
namespace {

/// As a mixture of experts has: a parameter whose name looks like a bias, and one that does not
/// look like anything.
struct Router : torch::nn::Module {
  Router() {
    register_parameter("e_score_correction_bias", at::zeros({4}));
    register_parameter("centroids", at::zeros({4, 3}));
    register_buffer("scratch", at::zeros({9}));
    linear = register_module("linear", Linear(LinearOptions{3, 5, true}, at::kFloat));
    table = register_module("table", Embedding(6, 3, at::kFloat));
  }
  Linear linear{nullptr};
  Embedding table{nullptr};
};

TEST_CASE("tensors: each with its role, names of checkpoint and module, in the module's order") {
  Router router;
  router.linear->add_lora({.rank = 2, .dora = true}, at::detail::createCPUGenerator(1));
  router.table->add_trainable_rows({1, 4});
  std::vector<std::string> parameters, names, adapter;
  for (const ModuleTensor& tensor : tensors(router)) {
    parameters.push_back(tensor.parameter);
    (tensor.role == Role::kAdapter ? adapter : names).push_back(tensor.name);
  }
  std::vector<std::string> wanted;
  for (const auto& item : router.named_parameters()) wanted.push_back(item.key());
  CHECK(parameters == wanted);
  CHECK(names == std::vector<std::string>{"e_score_correction_bias", "centroids", "linear.weight",
                                          "linear.bias", "table.weight"});
  CHECK(adapter == std::vector<std::string>{"linear.lora_A.weight", "linear.lora_B.weight",
                                            "linear.lora_magnitude_vector",
                                            "table.token_adapter.trainable_tokens_delta"});
  CHECK(numel(router) == 4 + 12 + 15 + 5 + 18);
  CHECK(numel(router, Role::kAdapter) == 6 + 10 + 5 + 6);
  CHECK(trained_numel(router) == 4 + 12 + 6 + 10 + 5 + 6);  // the linear layer and table are frozen
}

TEST_CASE("axes: a cut of units shortens what they name, by their width, and nothing else") {
  const DecoderBlockOptions options = {
      .attention = {.dim = 8, .num_heads = 4, .num_kv_heads = 2, .head_dim = 6, .qkv_bias = true},
      .mlp = {.dim = 8, .hidden = 5, .bias = true}};
  DecoderBlock block(options, at::kFloat);
  BranchImpl* const branches[] = {block->self_attn.get(), block->mlp.get()};
  for (BranchImpl* branch : branches) {
    std::map<std::string, std::vector<int64_t>> before;
    for (const ModuleTensor& own : tensors(*branch)) before[own.name] = own.tensor.sizes().vec();
    const std::vector<UnitAxis> axes = branch->axes();
    branch->cut_units({0, 1, 2});  // of 2 groups both are left
    for (const UnitAxis& axis : axes) {
      const int64_t gone = axis.groups ? 0 : (axis.width == 6 ? 1 : 2) * axis.width;
      for (const ModuleTensor& own : axis.layer->own_tensors()) {
        std::vector<int64_t>& sizes = before.at(axis.name + "." + own.name);
        const int64_t dim = axis.outputs ? own.outputs : own.inputs;
        if (dim >= 0) sizes[static_cast<size_t>(dim)] -= gone;
      }
    }
    for (const ModuleTensor& own : tensors(*branch)) {
      INFO(own.name);
      CHECK(own.tensor.sizes().vec() == before.at(own.name));
    }
    CHECK(branch->units() == 3);
  }
}

TEST_CASE("A layer without memory takes an adapter without memory") {
  Linear linear(LinearOptions{1 << 20, 1 << 20}, at::TensorOptions(at::kMeta).dtype(at::kFloat));
  linear->add_lora({.rank = 1 << 18, .dora = true}, at::detail::createCPUGenerator(1));
  CHECK(linear->lora_A.is_meta());
  CHECK(trained_numel(*linear) == (int64_t{1} << 39) + (1 << 20));
  CHECK(linear->keeps_input());
  CHECK(linear->saved() == (1 << 18) + (1 << 20));
}

}  // namespace
}  // namespace hone::nn
