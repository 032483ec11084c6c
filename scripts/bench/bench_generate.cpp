// hone's arm of scripts/bench/generate: greedy tokens from a checkpoint, timed.
//
//   bench_generate <checkpoint folder> <prompts.safetensors> <new tokens> <rounds>
//
// The prompts are "ids" [batch, length] int64. Prints one line "RESULT {json}" with the wall and
// CPU seconds of each round, those up to its first token, and the last round's ids.
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <chrono>
#include <ctime>
#include <iostream>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/infer/generate.h"
#include "hone/io/checkpoint.h"
#include "hone/io/tensors.h"
#include "hone/machine/hardware.h"
#include "hone/machine/memory.h"
#include "hone/machine/parallel.h"
#include "hone/model/checkpoint.h"

namespace {

using namespace hone;
/// Wall and CPU seconds since some begin.
struct Seconds {
  double wall, cpu;

  static Seconds now() {
    timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    const auto wall = std::chrono::steady_clock::now().time_since_epoch();
    return {std::chrono::duration<double>(wall).count(),
            static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec)};
  }

  Json since(const Seconds& begin) const { return {wall - begin.wall, cpu - begin.cpu}; }
};

void run(const std::string& folder, const std::string& prompts_path, int64_t tokens, int rounds) {
  machine::keep_freed_memory();
  at::set_num_threads(machine::detect_hardware().cores);
  machine::set_flush_subnormals(true);
  const at::Tensor ids = io::read_tensor(io::Safetensors(prompts_path), "ids");
  std::vector<std::vector<int64_t>> prompts;
  for (const at::Tensor& row : ids.unbind()) {
    const auto* begin = static_cast<const int64_t*>(row.const_data_ptr());
    prompts.emplace_back(begin, begin + row.numel());
  }
  model::Decoder decoder = model::load_decoder(io::Checkpoint::open(folder), at::kCPU, at::kFloat);
  const auto tokenizer = text::Tokenizer::from_file(folder + "/tokenizer.json");
  const infer::SamplingOptions sampling{.max_new_tokens = tokens,
                                        .stop_ids = std::vector<int64_t>()};
  Json result = {{"first", Json::array()}, {"whole", Json::array()}};
  for (int round = 0; round < rounds; ++round) {
    const Seconds begin = Seconds::now();
    Json first;
    const auto results = infer::generate(
        decoder, tokenizer, prompts, sampling,
        {.max_batch = ids.size(0), .prefill_tokens = ids.numel(), .on_token = [&](size_t, int64_t) {
           if (first.is_null()) first = Seconds::now().since(begin);
           return true;
         }});
    result["whole"].push_back(Seconds::now().since(begin));
    result["first"].push_back(first);
    result["ids"] = Json::array();
    for (const infer::Generated& one : results) result["ids"].push_back(one.ids);
  }
  std::cout << "RESULT " << result.dump() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 5) throw Error("usage: bench_generate <folder> <prompts> <new tokens> <rounds>");
    run(argv[1], argv[2], std::stoll(argv[3]), std::stoi(argv[4]));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
