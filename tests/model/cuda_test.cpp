// The model room on a CUDA device; each case passes at once where there is none.
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/model/adapter.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/gradcheck.h"

namespace hone::model {
namespace {

using hone::test::relative_difference;
using test::loss_of;
using test::random_input;
using test::small_config;

const at::Device kCuda(at::kCUDA, 0);

bool no_device() {
  if (torch::cuda::is_available()) return false;
  WARN("skipped: no CUDA device");
  return true;
}

Decoder decoder_on(at::Device device, at::ScalarType dtype, const Json& json = small_config()) {
  Decoder decoder = make_decoder(DecoderConfig::from_json(json, "test"), device, dtype);
  decoder->initialise(1);
  return decoder;
}

std::vector<at::Tensor> gradients(Decoder& decoder) {
  torch::manual_seed(2);
  loss_of(decoder, random_input({9, 7, 8}, 40, decoder->device())).backward();
  std::vector<at::Tensor> grads;
  for (const auto& [name, tensor] : trainable_parameters(decoder)) grads.push_back(tensor.grad());
  return grads;
}

TEST_CASE("cuda: loss gradients equal the CPU's in float32, and nearly so in bfloat16") {
  if (no_device()) return;
  Decoder cpu = decoder_on(at::kCPU, at::kFloat), gpu = decoder_on(kCuda, at::kFloat);
  Decoder half = decoder_on(kCuda, at::kBFloat16);
  const auto wanted = gradients(cpu), got = gradients(gpu), rough = gradients(half);
  for (size_t i = 0; i < wanted.size(); ++i) {
    CHECK(relative_difference(got[i], wanted[i]) < 1e-4);
    CHECK(relative_difference(rough[i], wanted[i]) < 0.1);  // 8 bits of mantissa, three blocks
  }
}

TEST_CASE("cuda: checkpointed gradients are bit-equal with dropout on") {
  if (no_device()) return;
  Json json = small_config();
  json["attention_dropout"] = 0.3;
  Decoder kept = decoder_on(kCuda, at::kFloat, json), again = decoder_on(kCuda, at::kFloat, json);
  again->set_checkpointing(1);
  const auto wanted = gradients(kept), got = gradients(again);
  // The embedding's gradient is summed by atomics in any order; all others are exact.
  for (size_t i = 1; i < wanted.size(); ++i) CHECK(at::equal(got[i], wanted[i]));
}

TEST_CASE("cuda: adapters, token rows and merging") {
  if (no_device()) return;
  const nn::LoraOptions options = {.rank = 2, .targets = {"q_proj", "down_proj"}, .dora = true};
  Decoder cpu = decoder_on(at::kCPU, at::kFloat), gpu = decoder_on(kCuda, at::kFloat);
  add_lora(cpu, options, 3, {4, 7});
  add_lora(gpu, options, 3, {4, 7});
  const auto wanted = gradients(cpu), got = gradients(gpu);
  for (size_t i = 0; i < wanted.size(); ++i) CHECK(relative_difference(got[i], wanted[i]) < 1e-4);
  Decoder loaded = decoder_on(kCuda, at::kFloat);
  load_adapter(loaded, adapter_files(gpu, "base"));
  merge_lora(loaded);
  CHECK(loaded->hf_tensors()[0].second.is_cuda());
}

TEST_CASE("cuda: cached steps equal the CPU's pass over the whole, and nearly so in bfloat16") {
  if (no_device()) return;
  const std::vector<std::vector<int64_t>> whole = {{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10}};
  Decoder cpu = decoder_on(at::kCPU, at::kFloat);
  const torch::NoGradGuard no_grad;
  const at::Tensor all = cpu->hidden(make_input(whole, at::kCPU));
  const at::Tensor wanted = at::stack({all[5], all[9]});
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-4}, {at::kBFloat16, 0.1}}) {
    Decoder gpu = decoder_on(kCuda, dtype);
    gpu->eval();
    KvCache cache(gpu->cache_shapes(), at::TensorOptions().device(kCuda).dtype(dtype));
    gpu->hidden(make_input(std::vector<std::vector<int64_t>>{{1, 2, 3}, {7}}, kCuda), cache, 0);
    const auto add = [&](const std::vector<std::vector<int64_t>>& documents) {
      return gpu->hidden(make_input(documents, kCuda, cache.lengths()), cache, 0);
    };
    add({{4, 5}, {8, 9}});  // several behind a past, then one each
    CHECK(relative_difference(add({{6}, {10}}), wanted) < tolerance);
  }
}

}  // namespace
}  // namespace hone::model
