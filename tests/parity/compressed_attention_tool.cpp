// Runs nn::CompressedAttention for compressed_attention.py: compressed_attention_tool <jobs.json>.
// A job's file holds the weights by their names, x [T, D], the documents' offsets and a gradient of
// the result; what is written: the result and all gradients.
#include <torch/types.h>
#include <torch/utils.h>

#include <iostream>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/tensors.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/compressed_attention.h"

namespace {

using namespace hone;

struct Job {
  std::string in, out;
  nn::CompressedAttentionOptions options;
  bool yarn = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("in", self.in, "");
    v("out", self.out, "");
    v("hidden_size", self.options.hidden_size, "");
    v("num_heads", self.options.num_heads, "");
    v("head_dim", self.options.head_dim, "");
    v("rope_dim", self.options.rope.head_dim, "");
    v("theta", self.options.rope.theta, "");
    v("yarn", self.yarn, "");
    v("factor", self.options.rope.factor, "");
    v("original_positions", self.options.rope.original_positions, "");
    v("q_rank", self.options.q_rank, "");
    v("o_groups", self.options.o_groups, "");
    v("o_rank", self.options.o_rank, "");
    v("window", self.options.window, "");
    v("ratio", self.options.ratio, "");
    v("index_heads", self.options.index.heads, "");
    v("index_dim", self.options.index.width, "");
    v("index_topk", self.options.index.chosen, "");
  }
};

struct Jobs {
  std::vector<Job> jobs;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("jobs", self.jobs, "");
  }
};

void run(const Job& job) {
  const io::Safetensors file(job.in);
  nn::CompressedAttentionOptions options = job.options;
  if (job.yarn) {
    options.rope.type = nn::RopeType::kYarn;
    options.rope.attention_factor = 1;
  }
  nn::CompressedAttention attention(options, at::kFloat);
  const std::vector<nn::ModuleTensor> tensors = nn::tensors(*attention);
  {
    const torch::NoGradGuard no_grad;
    for (nn::ModuleTensor own : tensors) {
      own.tensor.copy_(io::read_tensor(file, "weight." + own.name));
    }
  }
  const at::Tensor x = io::read_tensor(file, "x").set_requires_grad(true);
  const at::Tensor offsets = io::read_tensor(file, "offsets");
  const nn::AttentionContext context{kernels::Sequences::from_offsets(
      {offsets.data_ptr<int64_t>(), offsets.data_ptr<int64_t>() + offsets.numel()}, at::kCPU)};
  const at::Tensor y = attention(x, context);
  y.backward(io::read_tensor(file, "cotangent"));
  io::NamedTensors out = {{"y", y.detach()}, {"grad.x", x.grad()}};
  for (const nn::ModuleTensor& own : tensors) {
    if (own.tensor.grad().defined()) out.emplace_back("grad." + own.name, own.tensor.grad());
  }
  io::write_safetensors(job.out, out);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw Error("usage: compressed_attention_tool <jobs.json>");
    for (const Job& job : config::read_config<Jobs>(read_json_file(argv[1])).jobs) run(job);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
