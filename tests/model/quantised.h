/// Checkpoints whose projections are FP8, as others would have written them.
#pragma once
#include <torch/types.h>

#include <string>

#include "hone/io/quantised_tensors.h"
#include "hone/model/checkpoint.h"

namespace hone::model::test {

/// Blocks that small weights have several of, the last of them cut short.
constexpr io::BlockFormat kBlocks{.rows = 12, .columns = 20};

/// `config` with what tells of such weights beside others in bfloat16.
inline Json quantised_config(Json config) {
  config["torch_dtype"] = "bfloat16";
  config["quantization_config"] = {{"quant_method", "fp8"},
                                   {"fmt", "e4m3"},
                                   {"weight_block_size", {kBlocks.rows, kBlocks.columns}},
                                   {"activation_scheme", "dynamic"}};
  return config;
}

/// `tensors` with every *_proj.weight as codes and scales, the others in bfloat16.
inline NamedTensors quantised_tensors(const NamedTensors& tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    if (!name.ends_with("_proj.weight")) {
      result.emplace_back(name, tensor.to(at::kBFloat16));
      continue;
    }
    const at::Tensor scales = io::block_scales(tensor, kBlocks, at::kFloat);
    result.emplace_back(name, io::encoded(tensor, scales, kBlocks, 0, at::kFloat8_e4m3fn));
    result.emplace_back(name + "_scale_inv", scales);
  }
  return result;
}

}  // namespace hone::model::test
