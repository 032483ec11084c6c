#include <hone/nn/dynamic_attention.h>
#include <torch/torch.h>

int main() {
  torch::manual_seed(1);
  hone::nn::DynamicAttention attention({.dim = 32,
                                        .num_heads = 8,
                                        .causal = true,
                                        .prune = {.target = 0.5, .start = 10, .end = 60}});
  torch::optim::Adam optimizer(attention->parameters(), 1e-2);
  const torch::Tensor x = torch::randn({4, 12, 32});  // [B, T, D]
  const torch::Tensor wanted = x.cumsum(1) / torch::arange(1, 13).view({12, 1});
  for (int step = 0; step < 80; ++step) {
    optimizer.zero_grad();
    torch::mse_loss(attention(x), wanted).backward();
    optimizer.step();
    attention->step();  // half of the heads are off from step 60 on
  }
  attention->cut();  // and now gone: a new optimizer would train the four that are left
  return attention->attention->options.num_heads == 4 ? 0 : 1;
}
