// hone's arm of scripts/bench/experts: forward and backward passes of a layer's routed experts.
//
//   bench_experts <inputs.safetensors> <passes> [float32|bfloat16_products]
//
// The file holds x [T, D], weights [T, K], choices [T, K] int64, gate_up [E, 2 I, D], down [E, D,
// I] and the cotangent grad [T, D]. Prints "RESULT {json}" with the CPU and wall seconds of each
// pass, sums of the result and of all gradients, and the peak of resident memory.
#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <ctime>
#include <iostream>

#include "hone/core/json.h"
#include "hone/io/tensors.h"
#include "hone/kernels/experts.h"
#include "hone/kernels/product.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/machine/parallel.h"

int main(int argc, char** argv) {
  using namespace hone;
  machine::keep_freed_memory();
  machine::set_flush_subnormals(true);
  if (argc > 3 && std::string(argv[3]) == "bfloat16_products") {
    kernels::set_product_type(kernels::ProductType::kBfloat16);
  }
  const io::Safetensors file(argv[1]);
  std::vector<at::Tensor> in;
  for (const char* name : {"x", "weights", "gate_up", "down"}) {
    in.push_back(io::read_tensor(file, name).requires_grad_());
  }
  const at::Tensor choices = io::read_tensor(file, "choices"), grad = io::read_tensor(file, "grad");
  Json seconds = Json::array(), cpu_seconds = Json::array(), sums;
  for (int pass = 0; pass < std::stoi(argv[2]); ++pass) {
    for (at::Tensor& tensor : in) tensor.mutable_grad() = at::Tensor();
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    const auto order = kernels::order_by_expert(choices, in[2].size(0));
    const at::Tensor y = kernels::mixed_experts(in[0], in[1], in[2], in[3], order);
    y.backward(grad);
    cpu_seconds.push_back(static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    sums = {y.sum().item<double>()};
    for (const at::Tensor& tensor : in) sums.push_back(tensor.grad().abs().sum().item<double>());
  }
  std::cout << "RESULT "
            << Json{{"seconds", seconds},
                    {"cpu_seconds", cpu_seconds},
                    {"sums", sums},
                    {"peak_bytes", machine::peak_resident_bytes()}}
            << std::endl;
}
