// Divergences of rows for tests/interop/kernels_divergence.py: divergence_tool IN OUT.
//
// IN is a safetensors file with student and teacher [n, V]; its metadata's `options` is a list of
// {divergence, beta, temperature, squared}. OUT has of the i-th its value.i [n] and slope.i [n, V],
// the gradient of their sum to the student.
#include <torch/types.h>

#include <iostream>

#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/io/tensors.h"
#include "hone/kernels/divergence.h"

namespace hone {
namespace {

kernels::DivergenceOptions options_of(const Json& json) {
  const auto name = json.at("divergence").get<std::string>();
  return {.kind = name == "forward_kl"   ? kernels::Divergence::kForwardKl
                  : name == "reverse_kl" ? kernels::Divergence::kReverseKl
                                         : kernels::Divergence::kJsd,
          .beta = json.at("beta").get<double>(),
          .temperature = json.at("temperature").get<double>(),
          .squared = json.at("squared").get<bool>()};
}

void measure(const std::string& in, const std::string& out) {
  const io::Safetensors file(in);
  const at::Tensor student = io::read_tensor(file, "student");
  io::NamedTensors results;
  for (const Json& options : parse_json(file.metadata().at("options"), in)) {
    at::Tensor teacher = io::read_tensor(file, "teacher");
    const std::string number = std::to_string(results.size() / 2);
    const at::Tensor ones = at::ones({student.size(0)}, student.options());
    results.emplace_back("value." + number,
                         kernels::divergence(student, teacher, ones, options_of(options)));
    results.emplace_back("slope." + number, teacher);
  }
  io::write_safetensors(out, results);
}

}  // namespace
}  // namespace hone

int main(int argc, char** argv) {
  try {
    if (argc != 3) throw hone::Error("usage: divergence_tool IN OUT");
    hone::measure(argv[1], argv[2]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
