#include "hone/optim/optimizer.h"

#include <signal.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "hone/core/error.h"
#include "support/catch.h"
#include "toy.h"

using namespace hone;
using namespace hone::train;

namespace {

/// torch.optim.SGD with momentum, behind the interface that the loop sees.
class Sgd : public optim::Optimizer {
 public:
  Sgd(std::map<std::string, at::Tensor> parameters, double momentum)
      : parameters_(std::move(parameters)), momentum_(momentum) {
    for (const auto& [name, parameter] : parameters_) {
      state_["momentum." + name] = at::zeros_like(parameter.detach());
    }
  }

  void set_lr(double lr) override { lr_ = lr; }
  void set_weight_decay(double weight_decay) override { weight_decay_ = weight_decay; }
  double weight_decay() const override { return weight_decay_; }

  bool has(const std::string& name) const override { return parameters_.contains(name); }
  void cut(const std::string& name, const at::Tensor& parameter, int64_t dim,
           const at::Tensor& keep) override {
    parameters_.at(name) = parameter;
    at::Tensor& momentum = state_.at("momentum." + name);
    momentum = momentum.index_select(dim, keep);
  }
  void remove(const std::string& name) override {
    parameters_.erase(name);
    state_.erase("momentum." + name);
  }

  double scale_and_clip(double factor, double max_norm) override {
    double squares = 0;
    for (const auto& [name, parameter] : parameters_) {
      if (parameter.grad().defined()) squares += parameter.grad().square().sum().item<double>();
    }
    const double norm = std::sqrt(squares) * factor;
    factor_ = max_norm > 0 && norm > max_norm ? factor * max_norm / (norm + 1e-6) : factor;
    return norm;
  }
  void step() override {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, parameter] : parameters_) {
      if (!parameter.grad().defined()) continue;
      const at::Tensor gradient = parameter.grad() * factor_ + parameter * weight_decay_;
      const at::Tensor momentum = state_.at("momentum." + name);
      momentum.mul_(momentum_).add_(gradient);
      last_[name] = {(momentum * lr_).square().sum(at::kDouble),
                     parameter.square().sum(at::kDouble)};
      parameter.sub_(momentum, lr_);
    }
  }
  std::map<std::string, optim::UpdateSquares> last_update() const override { return last_; }
  void zero_grad() override {
    for (const auto& [name, parameter] : parameters_) parameter.mutable_grad() = at::Tensor();
    factor_ = 1;
  }

  std::map<std::string, at::Tensor> parameters() const override { return parameters_; }
  std::map<std::string, at::Tensor> state() const override { return state_; }
  void load_state(const std::map<std::string, at::Tensor>& state) override {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : state_) tensor.copy_(state.at(name));
  }

 private:
  std::map<std::string, at::Tensor> parameters_, state_;
  std::map<std::string, optim::UpdateSquares> last_;
  const double momentum_;
  double lr_ = 0, weight_decay_ = 0, factor_ = 1;
};

/// What the toy loses on a batch of its training text.
double training_nll(Toy& toy) {
  data::Batch batch;
  batch.append({{0, 1, 0}, {1, 0, data::kIgnoreIndex}, {1, 1, 1}});
  return toy.task().nll(batch).sum().item<double>();
}

/// Trains the toy by it in the folder; training_nll() before and after.
std::pair<double, double> train_by_sgd(Toy& toy, const std::string& path, bool resume) {
  const double before = training_nll(toy);
  io::RunFolder folder = io::RunFolder::create(path, resume);
  Sgd optimizer({{"weight", toy.weight}}, 0.9);
  std::vector<Evaluation> evaluations;
  run_loop({.steps = 12, .lr = 0.3, .save_every = 2}, optimizer, toy.task(), folder, {"main"},
           evaluations);
  return {before, training_nll(toy)};
}

}  // namespace

TEST_CASE("The loop trains by any optimiser, and goes on from its state bit for bit") {
  torch::manual_seed(7);
  Toy whole;
  const auto [before, after] = train_by_sgd(whole, fresh_folder(), false);
  CHECK(after < 0.8 * before);

  const std::string path = fresh_folder();
  torch::manual_seed(7);
  Toy first;
  first.on_batch = [&] {
    if (first.drawn == 6) ::raise(SIGTERM);
  };
  train_by_sgd(first, path, false);
  REQUIRE(first.drawn == 7);
  torch::manual_seed(99);
  Toy second;
  CHECK(train_by_sgd(second, path, true).second == after);
  CHECK(torch::equal(second.weight, whole.weight));
}
