/// What a decoder keeps of the sequences it continues.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "hone/kernels/sequences.h"
#include "hone/nn/branch.h"

namespace hone::model {

/// Rows of sequences: a growing batch for DecoderImpl::hidden(input, cache).
///
/// Per layer the tensors that its mixer keeps (keys and values, say), each [rows, positions, ...]
/// in the weights' dtype and device. What a pass finds too small for it at least doubles; reserve()
/// allocates exactly. Rows in use are always the first rows() ones.
class KvCache {
 public:
  /// Empty. `layers`: DecoderImpl::cache_shapes(). `tensor_options`: dtype and device of the
  /// activations.
  KvCache(const std::vector<nn::CacheShape>& layers, const at::TensorOptions& tensor_options);

  int64_t bytes() const;

  /// Makes room for that many where there is less, copying what is kept.
  void reserve(int64_t rows, int64_t positions);

  int64_t rows() const { return static_cast<int64_t>(lengths_.size()); }
  int64_t row_capacity() const { return row_capacity_; }
  int64_t position_capacity() const { return position_capacity_; }
  /// Positions kept of each row.
  const std::vector<int64_t>& lengths() const { return lengths_; }

  /// Forgets a row; the last row takes its place.
  void drop(int64_t row);
  /// New row i becomes a copy of old row rows[i]; rows may repeat or be left out.
  void select(const std::vector<int64_t>& rows);
  /// Forgets all but the first `length` positions of a row.
  void truncate(int64_t row, int64_t length);

  /// For the decoder: makes room for the documents of `segments`, of which number d continues row
  /// first_row + d, or begins it where first_row + d >= rows(); then each layer's view of them.
  /// Throws: c10::ValueError unless 0 <= first_row <= rows().
  std::vector<nn::LayerCache> open(int64_t first_row, const kernels::Sequences& segments);
  /// For the decoder: the pass has written all layers.
  void commit(int64_t first_row, const kernels::Sequences& segments);

 private:
  void check_row(int64_t row) const;
  /// A tensor of the present capacity, of `sizes` a position.
  at::Tensor allocate(const std::vector<int64_t>& sizes) const;
  /// Calls `change` with every tensor.
  template <class Change>
  void for_each(Change change);

  at::TensorOptions tensor_options_;
  int64_t row_capacity_ = 0, position_capacity_ = 0;
  std::vector<int64_t> lengths_;
  std::vector<std::vector<at::Tensor>> layers_;
};

}  // namespace hone::model
