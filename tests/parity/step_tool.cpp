// Runs training steps for the Python side of the parity tests: step_tool <jobs.json>. Each job
// loads a checkpoint folder, trains it on one packed batch and writes losses, gradients and
// weights.
#include <torch/types.h>
#include <torch/utils.h>

#include <iostream>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/checkpoint.h"
#include "hone/io/tensors.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/optim/adamw.h"
#include "hone/run/decoder_step.h"
#include "hone/run/index_options.h"

namespace {

using namespace hone;

struct Job {
  std::string model, batch, out;
  std::optional<std::string> save;
  int64_t checkpoint_every = 0, steps = 0;
  double lr = 1e-3, weight_decay = 0.1, multi_token = 0, index_weight = 0;
  nn::IndexLearning index = nn::IndexLearning::kOff;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("model", self.model, "");
    v("batch", self.batch, "");
    v("out", self.out, "");
    v("save", self.save, "");
    v("checkpoint_every", self.checkpoint_every, "");
    v("steps", self.steps, "");
    v("lr", self.lr, "");
    v("weight_decay", self.weight_decay, "");
    v("multi_token", self.multi_token, "");
    v("index", self.index, "");
    v("index_weight", self.index_weight, "");
  }
};

struct Jobs {
  std::vector<Job> jobs;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("jobs", self.jobs, "");
  }
};

std::vector<int64_t> integers(const io::Safetensors& file, const std::string& name) {
  const at::Tensor x = io::read_tensor(file, name);
  return {x.data_ptr<int64_t>(), x.data_ptr<int64_t>() + x.numel()};
}

data::Batch read_batch(const std::string& path) {
  const io::Safetensors file(path);
  const at::Tensor weights = io::read_tensor(file, "weights");
  return {.input_ids = integers(file, "ids"),
          .targets = integers(file, "targets"),
          .positions = integers(file, "positions"),
          .weights = {weights.data_ptr<float>(), weights.data_ptr<float>() + weights.numel()},
          .domains = std::vector<int64_t>(weights.numel(), 0),
          .offsets = integers(file, "offsets")};
}

void train(const Job& job) {
  const auto checkpoint = io::Checkpoint::open(job.model);
  model::Decoder decoder =
      model::load_decoder(checkpoint, at::kCPU, at::kFloat, {.multi_token = job.multi_token > 0});
  decoder->set_checkpointing(job.checkpoint_every);
  run::DecoderStep step(decoder, {1.0});
  step.set_multi_token(job.multi_token);
  decoder->set_index_learning(job.index);
  step.set_index_weight(job.index_weight);
  const data::Batch batch = read_batch(job.batch);
  const auto parameters = model::trainable_parameters(decoder);
  optim::FusedAdamW optimizer(parameters, {.lr = job.lr, .weight_decay = job.weight_decay});
  io::NamedTensors out;
  std::vector<at::Tensor> losses, further, indexers;
  for (int64_t i = 0; i == 0 || i < job.steps; ++i) {
    optimizer.zero_grad();
    const loss::LossSum loss = step.loss(batch);
    loss.sum.backward();
    losses.push_back((loss.sum / loss.weight).detach());
    further.push_back(step.take_multi_token());
    indexers.push_back(step.take_index_losses());
    optimizer.scale_and_clip(1 / loss.weight.item<double>(), 0);
    for (const auto& [name, parameter] : parameters) {
      const at::Tensor grad = parameter.grad();
      if (i == 0 && grad.defined()) out.emplace_back("grad." + name, grad / loss.weight);
    }
    if (job.steps > 0) optimizer.step();
  }
  out.emplace_back("losses", at::stack(losses));
  out.emplace_back("multi_token", at::stack(further));  // [steps, depths, {sum, weight}]
  out.emplace_back("indexers", at::stack(indexers));    // [steps, layers, {sum, positions}]
  io::write_safetensors(job.out, out);
  if (job.save) model::save_decoder(*job.save, decoder, checkpoint.config());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw Error("usage: step_tool <jobs.json>");
    for (const Job& job : config::read_config<Jobs>(read_json_file(argv[1])).jobs) train(job);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
