#include "hone/model/kv_cache.h"

#include <torch/types.h>

#include <algorithm>

namespace hone::model {

KvCache::KvCache(const std::vector<nn::CacheShape>& layers, const at::TensorOptions& tensor_options)
    : tensor_options_(tensor_options) {
  for (const nn::CacheShape& shape : layers) {
    std::vector<at::Tensor>& layer = layers_.emplace_back();
    for (const std::vector<int64_t>& sizes : shape) layer.push_back(allocate(sizes));
  }
}

template <class Change>
void KvCache::for_each(Change change) {
  for (std::vector<at::Tensor>& layer : layers_) {
    for (at::Tensor& tensor : layer) change(tensor);
  }
}

int64_t KvCache::bytes() const {
  int64_t sum = 0;
  for (const std::vector<at::Tensor>& layer : layers_) {
    for (const at::Tensor& tensor : layer) sum += static_cast<int64_t>(tensor.nbytes());
  }
  return sum;
}

at::Tensor KvCache::allocate(const std::vector<int64_t>& sizes) const {
  std::vector<int64_t> all = {row_capacity_, position_capacity_};
  all.insert(all.end(), sizes.begin(), sizes.end());
  // Not empty memory: masked positions have weight 0, but 0 times a NaN found there is NaN.
  return at::zeros(all, tensor_options_);
}

void KvCache::reserve(int64_t rows, int64_t positions) {
  if (rows <= row_capacity_ && positions <= position_capacity_) return;
  row_capacity_ = std::max(rows, row_capacity_);
  position_capacity_ = std::max(positions, position_capacity_);
  const int64_t longest =
      lengths_.empty() ? 0 : *std::max_element(lengths_.begin(), lengths_.end());
  const at::NoGradGuard no_grad;
  for_each([&](at::Tensor& tensor) {
    const at::Tensor kept = tensor.slice(0, 0, this->rows()).slice(1, 0, longest);
    at::Tensor fresh = allocate(tensor.sizes().slice(2).vec());
    fresh.slice(0, 0, this->rows()).slice(1, 0, longest).copy_(kept);
    tensor = fresh;
  });
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
    for_each([&](at::Tensor& tensor) {
      tensor.select(0, row)
          .slice(0, 0, lengths_[last])
          .copy_(tensor.select(0, last).slice(0, 0, lengths_[last]));
    });
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
  for_each([&](at::Tensor& tensor) {
    const at::Tensor picked = tensor.slice(1, 0, longest).index_select(0, index);
    tensor.slice(0, 0, count).slice(1, 0, longest).copy_(picked);
  });
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
  std::vector<nn::LayerCache> views;
  for (const std::vector<at::Tensor>& layer : layers_) views.push_back({layer, places});
  return views;
}

void KvCache::commit(int64_t first_row, const kernels::Sequences& segments) {
  const int64_t documents = segments.documents();
  lengths_.resize(std::max(rows(), first_row + documents), 0);
  for (int64_t d = 0; d < documents; ++d) {
    lengths_[first_row + d] += segments.offsets[d + 1] - segments.offsets[d];
  }
}

}  // namespace hone::model
