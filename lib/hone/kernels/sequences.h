/// Where documents begin in a ragged batch.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace hone::kernels {

/// Whether documents, the longest of `longest` and all together of `tokens` positions, are laid out
/// as rows of a padded grid for attention: if there are several and it wastes no more than half.
bool padded_to_grid(int64_t documents, int64_t longest, int64_t tokens);

/// T positions of D documents laid end to end. Made once a batch and shared by all layers.
struct Sequences {
  std::vector<int64_t> offsets;  ///< [D + 1], cumulative lengths; offsets[0] == 0, the last is T
  int64_t max_length = 0;        ///< of the longest document
  /// Indices for laying the documents out as rows of a padded [D, max_length] grid and back;
  /// undefined unless padded_to_grid().
  at::Tensor to_grid;  ///< [D * max_length] int64: position of each cell; padding repeats the last
  at::Tensor from_grid;  ///< [T] int64: cell of each position

  int64_t documents() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t tokens() const { return offsets.back(); }

  /// Throws: c10::ValueError unless the offsets begin at 0 and rise strictly.
  static Sequences from_offsets(std::vector<int64_t> offsets, at::Device device);
};

}  // namespace hone::kernels
