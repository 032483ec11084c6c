// hone's arm of scripts/bench/distillation: loss and gradients of a student that has a teacher.
//
//   bench_distillation <inputs.safetensors> <passes> <forward_kl|reverse_kl|jsd>
//
// The file holds hidden [T, D], weight [V, D], targets [T] int64 and the teacher's hidden [T, D']
// and weight [V, D']. Prints "RESULT {json}" with the CPU and wall seconds of each pass, the loss,
// sums of the gradients, and the peak of resident memory.
#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <ctime>
#include <iostream>
#include <string>

#include "hone/core/json.h"
#include "hone/io/tensors.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/machine/parallel.h"

int main(int argc, char** argv) {
  using namespace hone;
  machine::keep_freed_memory();
  machine::set_flush_subnormals(true);
  const io::Safetensors file(argv[1]);
  const std::string kind = argv[3];
  at::Tensor hidden = io::read_tensor(file, "hidden").requires_grad_();
  at::Tensor weight = io::read_tensor(file, "weight").requires_grad_();
  const at::Tensor targets = io::read_tensor(file, "targets");
  const kernels::SoftTargets soft{
      .hidden = io::read_tensor(file, "teacher_hidden"),
      .weight = io::read_tensor(file, "teacher_weight"),
      .options = {kind == "jsd"          ? kernels::Divergence::kJsd
                  : kind == "reverse_kl" ? kernels::Divergence::kReverseKl
                                         : kernels::Divergence::kForwardKl}};
  Json seconds = Json::array(), cpu_seconds = Json::array();
  double value = 0;
  for (int pass = 0; pass < std::stoi(argv[2]); ++pass) {
    hidden.mutable_grad() = weight.mutable_grad() = at::Tensor();
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    const at::Tensor loss = kernels::linear_distillation(hidden, weight, targets, {}, soft);
    loss.backward();
    cpu_seconds.push_back(static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    value = loss.item<double>();
  }
  const Json sums = {value, hidden.grad().abs().sum().item<double>(),
                     weight.grad().abs().sum().item<double>()};
  std::cout << "RESULT "
            << Json{{"seconds", seconds},
                    {"cpu_seconds", cpu_seconds},
                    {"sums", sums},
                    {"peak_bytes", machine::peak_resident_bytes()}}
            << "\n";
}
