// Another project's training loop with hone's loss: two domains, the second counts twice.
#include <hone/loss/domain_weighted_loss.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <cstdio>

int main() {
  torch::manual_seed(0);
  torch::nn::Linear model(16, 8);
  hone::loss::DomainWeightedLoss criterion(
      hone::loss::DomainWeightedLossOptions{.weights = {1.0, 2.0}});
  torch::optim::SGD optimizer(model->parameters(), 1.0);
  const at::Tensor input = torch::randn({64, 16}), target = torch::randint(8, {64}, torch::kInt64);
  const at::Tensor domain = torch::arange(64) % 2;
  double first = 0, last = 0;
  for (int step = 0; step < 100; ++step) {
    const auto [sum, weight] = criterion(model(input), target, domain);
    const at::Tensor loss = sum / weight;
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    (step == 0 ? first : last) = loss.item<double>();
  }
  std::printf("loss %.3f -> %.3f\n", first, last);
  return last < 0.7 * first ? 0 : 1;
}
