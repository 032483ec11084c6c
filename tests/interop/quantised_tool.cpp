// Quantises decoders and runs them for model_quantised.py: quantised_tool <jobs.json>. A job loads
// a checkpoint folder, perhaps quantises it, writes it again and the logits of one packed batch, or
// what each linear layer makes of the input that a file holds under its name.
#include <iostream>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/checkpoint.h"
#include "hone/io/tensors.h"
#include "hone/model/checkpoint.h"
#include "hone/model/quantised_layers.h"

namespace {

using namespace hone;

struct Scheme {
  int64_t bits = 8, group = 0;
  bool packed = false, inputs = false;
  std::vector<std::string> ignore;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("bits", self.bits, "");
    v("group", self.group, "");
    v("packed", self.packed, "");
    v("inputs", self.inputs, "");
    v("ignore", self.ignore, "");
  }
};

struct Job {
  std::string model, batch, out;
  std::optional<std::string> save, inputs;
  std::optional<Scheme> scheme;
  double divisor = kernels::kInt8Divisor;
  bool as_numbers = false;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("model", self.model, "");
    v("batch", self.batch, "");
    v("out", self.out, "");
    v("save", self.save, "");
    v("inputs", self.inputs, "");
    v("scheme", self.scheme, "");
    v("divisor", self.divisor, "");
    v("as_numbers", self.as_numbers, "");
  }
};

struct Jobs {
  std::vector<Job> jobs;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("jobs", self.jobs, "");
  }
};

io::NamedTensors outputs(const model::Decoder& decoder, const std::string& inputs) {
  const io::Safetensors file(inputs);
  io::NamedTensors out;
  for (const model::NamedLinear& linear : model::block_linears(*decoder)) {
    out.emplace_back(linear.name, linear.layer->forward(io::read_tensor(file, linear.name)));
  }
  return out;
}

void run(const Job& job) {
  const torch::NoGradGuard no_grad;
  const auto checkpoint = io::Checkpoint::open(job.model);
  model::Decoder decoder =
      model::load_decoder(checkpoint, at::kCPU, at::kFloat, {.as_numbers = job.as_numbers});
  io::CheckpointOptions options{.types = model::tensor_types(checkpoint)};
  if (job.scheme) {
    const Scheme& scheme = *job.scheme;
    model::quantise_decoder(*decoder,
                            {.spec = {{scheme.bits, scheme.group, scheme.packed},
                                      {.rounds = scheme.inputs},
                                      model::main_type(decoder->hf_tensors(), options.types)},
                             .ignore = scheme.ignore});
  }
  if (job.save) model::save_decoder(*job.save, decoder, checkpoint.config(), options);
  if (job.divisor != kernels::kInt8Divisor) {
    model::DecoderConfig config = decoder->config();
    config.quantised->spec.inputs.divisor = job.divisor;
    decoder = model::make_decoder(config, at::kCPU, at::kFloat);
    model::read_weights(decoder, io::Checkpoint::open(job.save.value_or(job.model)));
  }
  if (job.inputs) {
    io::write_safetensors(job.out, outputs(decoder, *job.inputs));
    return;
  }
  const io::Safetensors file(job.batch);
  const at::Tensor offsets = io::read_tensor(file, "offsets");
  const model::DecoderInput input{
      io::read_tensor(file, "ids"), io::read_tensor(file, "positions"),
      kernels::Sequences::from_offsets(
          {offsets.data_ptr<int64_t>(), offsets.data_ptr<int64_t>() + offsets.numel()}, at::kCPU)};
  io::write_safetensors(job.out, {{"logits", decoder->logits(decoder->hidden(input))}});
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw Error("usage: quantised_tool <jobs.json>");
    for (const Job& job : config::read_config<Jobs>(read_json_file(argv[1])).jobs) run(job);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
