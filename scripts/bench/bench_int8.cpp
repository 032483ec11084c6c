// The arms of scripts/bench/int8: one linear layer, by float32 and by integers.
//
//   bench_int8 <rows> <in> <out> <passes>
//
// Runs every arm in turn, over and over, and prints "RESULT {json}": for each arm the wall seconds
// of each pass. Arms that this CPU or LibTorch cannot run are left out. Weights are several, used
// in turn, so that together they fill no cache: as in a model.
#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/json.h"
#include "hone/kernels/product.h"
#include "hone/kernels/quantised_linear.h"
#include "hone/machine/isa.h"
#include "hone/machine/memory.h"

namespace {

using namespace hone;
using Work = std::function<void(size_t layer)>;

struct Arm {
  std::string name;
  Work work;
};

kernels::QuantisedWeight rounded(const at::Tensor& weight, const kernels::WeightFormat& format) {
  return kernels::quantise_weight(weight, format);
}

/// y = x W^T alone, without gradient.
std::vector<Arm> forward_arms(const at::Tensor& x, const std::vector<at::Tensor>& weights) {
  std::vector<Arm> arms;
  arms.push_back({"float32", [=](size_t i) { kernels::project(x, weights[i]); }});
  if (machine::multiplies_bfloat16()) {
    arms.push_back({"bfloat16", [=](size_t i) {
                      kernels::set_product_type(kernels::ProductType::kBfloat16);
                      kernels::project(x, weights[i]);
                      kernels::set_product_type(kernels::ProductType::kFloat32);
                    }});
  }
  const auto add = [&](std::string name, const kernels::WeightFormat& format, bool inputs,
                       machine::Int8Isa isa) {
    std::vector<kernels::QuantisedWeight> codes;
    for (const at::Tensor& weight : weights) codes.push_back(rounded(weight, format));
    arms.push_back({std::move(name), [=](size_t i) {
                      const machine::Int8Isa before = machine::int8_isa();
                      machine::set_int8_isa(isa);
                      kernels::quantised_linear(x, codes[i], {}, {inputs});
                      machine::set_int8_isa(before);
                    }});
  };
  using machine::Int8Isa;
  add("w8a8 avx2", {}, true, Int8Isa::kAvx2);
  if (machine::has_int8_isa(Int8Isa::kAvxVnni)) add("w8a8 avxvnni", {}, true, Int8Isa::kAvxVnni);
  if (machine::has_int8_isa(Int8Isa::kAvx512Vnni)) {
    add("w8a8 avx512vnni", {}, true, Int8Isa::kAvx512Vnni);
  }
  const kernels::WeightFormat four{4, 128, true};
  add("w8a16", {8, 0, true}, false, machine::int8_isa());
  if (x.size(1) % 128 == 0) add("w4a16", four, false, machine::int8_isa());

  std::vector<at::Tensor> packed, scales;
  for (const at::Tensor& weight : weights) {
    const kernels::QuantisedWeight codes = rounded(weight, {});
    packed.push_back(codes.codes);
    scales.push_back(codes.scales.squeeze(1).to(at::kBFloat16));
  }
  const at::Tensor half = x.to(at::kBFloat16);
  arms.push_back({"torch _weight_int8pack_mm",
                  [=](size_t i) { at::_weight_int8pack_mm(half, packed[i], scales[i]); }});
  return arms;
}

/// Forward and backward of a layer that trains.
std::vector<Arm> training_arms(const at::Tensor& x, const std::vector<at::Tensor>& weights) {
  const at::Tensor grad = at::randn({x.size(0), weights[0].size(0)});
  const auto train = [=](const std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>& f,
                         size_t i) {
    const at::Tensor in = x.detach().requires_grad_();
    const at::Tensor weight = weights[i].detach().requires_grad_();
    f(in, weight).backward(grad);
  };
  return {{"training float32",
           [=](size_t i) {
             train([](const auto& in, const auto& w) { return kernels::project(in, w); }, i);
           }},
          {"training w8a8", [=](size_t i) {
             train([](const auto& in,
                      const auto& w) { return kernels::rounded_linear(in, w, {}, {}, {}); },
                   i);
           }}};
}

double seconds(const Work& work, size_t layer) {
  const auto begin = std::chrono::steady_clock::now();
  work(layer);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int, char** argv) {
  machine::keep_freed_memory();
  const int64_t rows = std::stoll(argv[1]), in = std::stoll(argv[2]), out = std::stoll(argv[3]);
  const size_t passes = std::stoul(argv[4]);
  torch::manual_seed(1);
  const at::Tensor x = at::randn({rows, in});
  std::vector<at::Tensor> weights;
  const auto layers = std::max<int64_t>(1, (int64_t{1} << 28) / (4 * in * out));  // 256 MiB
  for (int64_t i = 0; i < layers; ++i) weights.push_back(at::randn({out, in}));

  std::vector<Arm> arms;
  {
    const torch::NoGradGuard no_grad;
    arms = forward_arms(x, weights);
  }
  if (rows > 1) {
    for (Arm& arm : training_arms(x, weights)) arms.push_back(std::move(arm));
  }
  Json result = Json::object();
  for (size_t pass = 0; pass < passes + 1; ++pass) {  // the first is a warm-up
    for (const Arm& arm : arms) {
      const torch::AutoGradMode grad(arm.name.rfind("training", 0) == 0);
      const double time = seconds(arm.work, pass % weights.size());
      if (pass > 0) result[arm.name].push_back(time);
    }
  }
  std::cout << "RESULT " << result << "\n";
}
