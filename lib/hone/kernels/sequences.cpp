#include "hone/kernels/sequences.h"

#include <torch/types.h>

#include <algorithm>

namespace hone::kernels {

bool padded_to_grid(int64_t documents, int64_t longest, int64_t tokens) {
  return documents > 1 && documents * longest <= 2 * tokens;
}

Sequences Sequences::from_offsets(std::vector<int64_t> offsets, at::Device device) {
  TORCH_CHECK_VALUE(offsets.size() >= 2 && offsets[0] == 0,
                    "Sequences: offsets must begin with 0 and hold at least one document");
  Sequences segments;
  for (size_t i = 1; i < offsets.size(); ++i) {
    TORCH_CHECK_VALUE(offsets[i] > offsets[i - 1], "Sequences: offsets must rise strictly, got ",
                      offsets[i - 1], " then ", offsets[i]);
    segments.max_length = std::max(segments.max_length, offsets[i] - offsets[i - 1]);
  }
  segments.offsets = std::move(offsets);
  const int64_t documents = segments.documents(), width = segments.max_length;
  if (!padded_to_grid(documents, width, segments.tokens())) return segments;
  std::vector<int64_t> to_grid(documents * width), from_grid(segments.tokens());
  for (int64_t d = 0; d < documents; ++d) {
    const int64_t begin = segments.offsets[d], length = segments.offsets[d + 1] - begin;
    for (int64_t i = 0; i < width; ++i) to_grid[d * width + i] = begin + std::min(i, length - 1);
    for (int64_t i = 0; i < length; ++i) from_grid[begin + i] = d * width + i;
  }
  segments.to_grid = torch::tensor(to_grid).to(device);
  segments.from_grid = torch::tensor(from_grid).to(device);
  return segments;
}

}  // namespace hone::kernels
