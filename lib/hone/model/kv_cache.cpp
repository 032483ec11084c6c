#include "hone/model/kv_cache.h"

#include <torch/types.h>

#include <algorithm>

namespace hone::model {

KvCache::KvCache(const DecoderConfig& config, const at::TensorOptions& tensor_options)
    : width_(config.head_dim), tensor_options_(tensor_options) {
  for (const LayerSizes& sizes : layer_sizes(config)) {
    heads_.push_back(sizes.cached_heads);
    keys_.push_back(allocate(keys_.size()));
    values_.push_back(keys_.back().clone());
  }
}

int64_t KvCache::bytes(const DecoderConfig& config, at::ScalarType dtype, int64_t rows,
                       int64_t positions) {
  int64_t heads = 0;
  for (const LayerSizes& sizes : layer_sizes(config)) heads += sizes.cached_heads;
  return 2 * heads * rows * positions * config.head_dim *
         static_cast<int64_t>(c10::elementSize(dtype));
}

int64_t KvCache::bytes() const {
  int64_t sum = 0;
  for (const at::Tensor& keys : keys_) sum += 2 * static_cast<int64_t>(keys.nbytes());
  return sum;
}

at::Tensor KvCache::allocate(size_t layer) const {
  // Not empty memory: masked positions have weight 0, but 0 times a NaN found there is NaN.
  return at::zeros({row_capacity_, position_capacity_, heads_[layer], width_}, tensor_options_);
}

void KvCache::reserve(int64_t rows, int64_t positions) {
  if (rows <= row_capacity_ && positions <= position_capacity_) return;
  row_capacity_ = std::max(rows, row_capacity_);
  position_capacity_ = std::max(positions, position_capacity_);
  const int64_t longest =
      lengths_.empty() ? 0 : *std::max_element(lengths_.begin(), lengths_.end());
  const at::NoGradGuard no_grad;
  for (std::vector<at::Tensor>* tensors : {&keys_, &values_}) {
    for (size_t i = 0; i < tensors->size(); ++i) {
      at::Tensor& old = (*tensors)[i];
      const at::Tensor kept = old.slice(0, 0, this->rows()).slice(1, 0, longest);
      at::Tensor fresh = allocate(i);
      fresh.slice(0, 0, this->rows()).slice(1, 0, longest).copy_(kept);
      old = fresh;
    }
  }
}

void KvCache::check_row(int64_t row) const {
  TORCH_CHECK_VALUE(row >= 0 && row < rows(), "KvCache: row must be in [0, ", rows(), "), got ",
                    row);
}

void KvCache::drop(int64_t row) {
  check_row(row);
  const int64_t last = rows() - 1;
  if (row != last) {
    const at::NoGradGuard no_grad;
    for (std::vector<at::Tensor>* tensors : {&keys_, &values_}) {
      for (at::Tensor& tensor : *tensors) {
        tensor.select(0, row)
            .slice(0, 0, lengths_[last])
            .copy_(tensor.select(0, last).slice(0, 0, lengths_[last]));
      }
    }
    lengths_[row] = lengths_[last];
  }
  lengths_.pop_back();
}

void KvCache::select(const std::vector<int64_t>& rows) {
  std::vector<int64_t> lengths;
  for (const int64_t row : rows) {
    check_row(row);
    lengths.push_back(lengths_[row]);
  }
  const int64_t longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  const auto count = static_cast<int64_t>(rows.size());
  reserve(count, longest);
  const at::NoGradGuard no_grad;
  const at::Tensor index = torch::tensor(rows, at::kLong).to(tensor_options_.device());
  for (std::vector<at::Tensor>* tensors : {&keys_, &values_}) {
    for (at::Tensor& tensor : *tensors) {
      const at::Tensor picked = tensor.slice(1, 0, longest).index_select(0, index);
      tensor.slice(0, 0, count).slice(1, 0, longest).copy_(picked);
    }
  }
  lengths_ = std::move(lengths);
}

void KvCache::truncate(int64_t row, int64_t length) {
  check_row(row);
  TORCH_CHECK_VALUE(length > 0 && length <= lengths_[row], "KvCache: row ", row, " holds ",
                    lengths_[row], " positions and cannot be cut to ", length);
  lengths_[row] = length;
}

std::vector<nn::LayerCache> KvCache::open(int64_t first_row, const kernels::Sequences& segments) {
  TORCH_CHECK_VALUE(first_row >= 0 && first_row <= rows(), "KvCache: first_row must be in [0, ",
                    rows(), "], got ", first_row);
  const int64_t documents = segments.documents();
  kernels::CachePlaces places{.first_row = first_row};
  std::vector<int64_t> lengths;
  for (int64_t d = 0; d < documents; ++d) {
    places.past.push_back(first_row + d < rows() ? lengths_[first_row + d] : 0);
    lengths.push_back(places.past[d] + segments.offsets[d + 1] - segments.offsets[d]);
  }
  const auto grown = [](int64_t wanted, int64_t now) {
    return wanted > now ? std::max(wanted, 2 * now) : now;
  };
  reserve(grown(first_row + documents, row_capacity_),
          grown(*std::max_element(lengths.begin(), lengths.end()), position_capacity_));
  std::vector<int64_t> slots;
  slots.reserve(segments.tokens());
  for (int64_t d = 0; d < documents; ++d) {
    for (int64_t at = places.past[d]; at < lengths[d]; ++at) {
      slots.push_back((first_row + d) * position_capacity_ + at);
    }
  }
  const at::Device device = tensor_options_.device();
  places.slots = torch::tensor(slots, at::kLong).to(device);
  places.lengths = torch::tensor(lengths, at::kLong).to(device);
  std::vector<nn::LayerCache> layers;
  for (size_t i = 0; i < keys_.size(); ++i) layers.push_back({keys_[i], values_[i], places});
  return layers;
}

void KvCache::commit(int64_t first_row, const kernels::Sequences& segments) {
  const int64_t documents = segments.documents();
  lengths_.resize(std::max(rows(), first_row + documents), 0);
  for (int64_t d = 0; d < documents; ++d) {
    lengths_[first_row + d] += segments.offsets[d + 1] - segments.offsets[d];
  }
}

}  // namespace hone::model
