// hone's arm of scripts/bench/train_cpu: trains a checkpoint on given batches and prints one line
// "RESULT {json}" with each step's loss, wall and CPU seconds.
//
//   bench_train_cpu <checkpoint folder> <batches.safetensors> <lr> [float32|bfloat16_products]
//
// The batches are input_ids [steps, rows, length] int64; every position predicts the next of its
// row. BENCH_START in the environment is the wall-clock time at which this process was started.
#include <ATen/Parallel.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <iostream>

#include "hone/core/json.h"
#include "hone/io/checkpoint.h"
#include "hone/kernels/product.h"
#include "hone/loss/domain_weighted_loss.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/machine/parallel.h"
#include "hone/model/checkpoint.h"
#include "hone/optim/adamw.h"

namespace {

double wall_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double cpu_now() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Rows {
  hone::model::DecoderInput input;
  at::Tensor targets, domains;
};

/// ids [rows, length] as documents laid end to end; the last position of each predicts nothing.
Rows lay_out(const at::Tensor& ids) {
  const int64_t rows = ids.size(0), length = ids.size(1);
  std::vector<int64_t> offsets;
  for (int64_t row = 0; row <= rows; ++row) offsets.push_back(row * length);
  at::Tensor targets = at::full_like(ids, -100);
  targets.slice(1, 0, length - 1).copy_(ids.slice(1, 1));
  return {{ids.flatten(), at::arange(length).repeat({rows}),
           hone::kernels::Sequences::from_offsets(std::move(offsets), at::kCPU)},
          targets.flatten(),
          at::zeros({rows * length}, at::kLong)};
}

std::vector<std::pair<std::string, at::Tensor>> parameters_of(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, at::Tensor>> named;
  for (const auto& item : module.named_parameters()) named.emplace_back(item.key(), item.value());
  return named;
}

void train(const std::string& folder, const std::string& batches_path, double lr) {
  hone::machine::keep_freed_memory();
  at::set_num_threads(hone::machine::thread_count(0).count);
  hone::machine::set_flush_subnormals(true);
  const hone::io::Safetensors file(batches_path);
  const at::Tensor batches = hone::io::read_tensor(file, "input_ids");
  hone::model::Decoder decoder =
      hone::model::load_decoder(hone::io::Checkpoint::open(folder), at::kCPU, at::kFloat);
  decoder->train();
  hone::loss::DomainWeightedLoss loss;
  hone::optim::FusedAdamW optimizer(parameters_of(*decoder), {.lr = lr, .weight_decay = 0});

  std::vector<double> losses, seconds, cpu_seconds;
  double first_step = 0;
  for (const at::Tensor& ids : batches.unbind()) {
    const double wall = wall_now(), cpu = cpu_now();
    const Rows rows = lay_out(ids);
    const hone::loss::LossSum sum = loss->forward_linear(
        decoder->hidden(rows.input), decoder->lm_weight(), rows.targets, rows.domains);
    sum.sum.backward();
    const double weight = sum.weight.item<double>();
    optimizer.scale_and_clip(1 / weight, 1.0);
    optimizer.step();
    optimizer.zero_grad();
    losses.push_back(sum.sum.item<double>() / weight);
    seconds.push_back(wall_now() - wall);
    cpu_seconds.push_back(cpu_now() - cpu);
    if (losses.size() == 1) {
      const char* start = std::getenv("BENCH_START");
      first_step = start ? wall_now() - std::atof(start) : seconds[0];
    }
  }
  const hone::Json result = {{"losses", losses},
                             {"seconds", seconds},
                             {"cpu_seconds", cpu_seconds},
                             {"peak_bytes", hone::machine::peak_resident_bytes()},
                             {"first_step", first_step}};
  std::cout << "RESULT " << result.dump() << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string compute = argc == 5 ? argv[4] : "float32";
  if (argc < 4 || argc > 5 || (compute != "float32" && compute != "bfloat16_products")) {
    std::cerr << "usage: bench_train_cpu <checkpoint folder> <batches.safetensors> <lr> "
                 "[float32|bfloat16_products]\n";
    return 2;
  }
  if (compute != "float32") {
    hone::kernels::set_product_type(hone::kernels::ProductType::kBfloat16);
  }
  try {
    train(argv[1], argv[2], std::atof(argv[3]));
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
