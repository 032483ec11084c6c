// The programs of scripts/bench/load_memory.
//
//   bench_load make <folder>           a Llama of random weights, its projections FP8 in blocks of
//                                      128 x 128 with float32 scales
//   bench_load load <folder> <dtype>   loads it and writes it again as it came
//
// The second prints one line "RESULT {json}" in bytes: of the weights as they were loaded, of the
// process before, and its largest resident size after loading and after writing.
#include <torch/types.h>

#include <iostream>
#include <string>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/checkpoint.h"
#include "hone/io/quantised_tensors.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/model/checkpoint.h"

namespace {

using namespace hone;

Json config() {
  return {{"model_type", "llama"},
          {"hidden_size", 2048},
          {"intermediate_size", 5632},
          {"num_hidden_layers", 5},
          {"num_attention_heads", 16},
          {"vocab_size", 8000},
          {"max_position_embeddings", 4096},
          {"torch_dtype", "bfloat16"},
          {"quantization_config", {{"quant_method", "fp8"}, {"fmt", "e4m3"}}}};
}

void make(const std::string& folder) {
  model::Decoder decoder = model::make_decoder(
      model::DecoderConfig::from_json(config(), "bench_load"), at::kCPU, at::kBFloat16);
  decoder->initialise(1);
  io::NamedTensors tensors;
  for (const auto& [name, weight] : decoder->hf_tensors()) {
    if (!name.ends_with("_proj.weight")) {
      tensors.emplace_back(name, weight);
      continue;
    }
    const at::Tensor scales = io::block_scales(weight, {}, at::kFloat);
    tensors.emplace_back(name, io::encoded(weight, scales, {}, 0, at::kFloat8_e4m3fn));
    tensors.emplace_back(name + "_scale_inv", scales);
  }
  io::save_checkpoint(folder, config(), tensors);
}

void load(const std::string& folder, at::ScalarType dtype) {
  machine::keep_freed_memory();
  at::empty({1}, dtype).fill_(1);  // what LibTorch itself needs
  const int64_t before = machine::peak_resident_bytes();
  const io::Checkpoint checkpoint = io::Checkpoint::open(folder);
  const model::Decoder decoder = model::load_decoder(checkpoint, at::kCPU, dtype);
  const int64_t loaded = machine::peak_resident_bytes();
  int64_t weights = 0;
  for (const auto& [name, tensor] : decoder->hf_tensors()) {
    weights += static_cast<int64_t>(tensor.nbytes());
  }
  model::save_decoder(folder + "-again", decoder, checkpoint.config(),
                      {.types = model::tensor_types(checkpoint), .quantised_as = &checkpoint});
  std::cout << "RESULT "
            << Json{{"file", checkpoint.bytes()},
                    {"weights", weights},
                    {"before", before},
                    {"loaded", loaded},
                    {"written", machine::peak_resident_bytes()}}
            << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  try {
    if (what == "make" && argc == 3) {
      make(argv[2]);
    } else if (what == "load" && argc == 4) {
      load(argv[2], std::string(argv[3]) == "bfloat16" ? at::kBFloat16 : at::kFloat);
    } else {
      std::cerr << "bench_load make <folder> | load <folder> float32|bfloat16\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
