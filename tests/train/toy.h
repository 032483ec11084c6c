/// What the tests of the loop share: a model small enough to know by heart.
#pragma once
#include <torch/nn/functional/loss.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "hone/io/json_lines.h"
#include "hone/io/run_folder.h"
#include "hone/io/safetensors.h"
#include "hone/io/tensors.h"
#include "hone/optim/adamw.h"
#include "hone/train/loop.h"
#include "support/catch.h"

namespace hone::train {

/// Logistic regression over 4 tokens: enough of a model for the loop, which knows none.
struct Toy {
  at::Tensor weight = torch::full({4, 4}, 0.1, torch::requires_grad());
  int64_t drawn = 0;
  int64_t poison_from = std::numeric_limits<int64_t>::max();  // batches from here on give NaN
  int64_t poison_to = std::numeric_limits<int64_t>::max();
  std::function<void()> on_batch = [] {};

  optim::FusedAdamW optimizer() { return {{{"weight", weight}}, {.weight_decay = 0.1}}; }

  Task task() {
    Task task;
    task.next_batch = [this] {
      on_batch();
      data::Batch batch;
      const int64_t a = drawn % 4, b = (drawn * 3 + 1) % 4;
      batch.append({{a, b, a}, {b, a, data::kIgnoreIndex}, {1, 1, 1}});
      ++drawn;
      return batch;
    };
    task.nll = [this](const data::Batch& batch) { return nll(batch); };
    task.loss = [this](const data::Batch& batch) {
      const at::Tensor dropped = torch::dropout(nll(batch), 0.25, true);  // draws random numbers
      at::Tensor sum = dropped.sum();
      if (drawn > poison_from && drawn <= poison_to) sum = sum * std::nan("");
      return loss::LossSum{sum, torch::tensor(2.0)};
    };
    data::Batch held_out;
    held_out.append({{0, 1, 2}, {1, 2, data::kIgnoreIndex}, {1, 1, 1}});
    task.evaluation = {{"held", "general", {held_out}}};
    task.save = [this](const std::string& folder) {
      io::write_safetensors(folder + "/w.safetensors", {{"weight", weight}});
      return Json{{"drawn", drawn}};
    };
    task.load = [this](const std::string& folder, const Json& state) {
      const torch::NoGradGuard no_grad;
      weight.copy_(io::read_tensor(io::Safetensors(folder + "/w.safetensors"), "weight"));
      drawn = state.at("drawn");
    };
    return task;
  }

  at::Tensor nll(const data::Batch& batch) const {
    const auto ids = torch::tensor(batch.input_ids, torch::kLong);
    return torch::nn::functional::cross_entropy(
        weight.index_select(0, ids), torch::tensor(batch.targets, torch::kLong),
        torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone));
  }
};

inline std::string fresh_folder() {
  static int counter = 0;
  const auto path =
      std::filesystem::temp_directory_path() /
      ("hone_trainer_" + std::to_string(::getpid()) + "_" + std::to_string(counter++));
  std::filesystem::remove_all(path);
  return path.string();
}

/// The rows of metrics.jsonl without the one field that depends on the clock.
inline std::vector<Json> metrics(const std::string& folder) {
  std::vector<Json> rows = io::read_json_lines(folder + "/metrics.jsonl");
  for (Json& row : rows) row.erase("tokens_per_second");
  return rows;
}

inline Outcome train_toy(Toy& toy, const TrainOptions& options, const std::string& path,
                         bool resume, std::vector<Evaluation>* evaluations = nullptr) {
  io::RunFolder folder = io::RunFolder::create(path, resume);
  auto optimizer = toy.optimizer();
  std::vector<Evaluation> own;
  return run_loop(options, optimizer, toy.task(), folder, {"main"},
                  evaluations ? *evaluations : own);
}

}  // namespace hone::train
