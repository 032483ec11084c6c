#include "hone/nn/embedding.h"

#include <torch/types.h>

#include <cmath>
#include <set>
#include <string>

#include "hone/core/error.h"

namespace hone::nn {

EmbeddingImpl::EmbeddingImpl(int64_t rows, int64_t dim, const at::TensorOptions& tensor_options)
    : weight(register_parameter("weight", at::empty({rows, dim}, tensor_options))) {}

std::vector<ModuleTensor> EmbeddingImpl::own_tensors() const {
  std::vector<ModuleTensor> own = {{"weight", weight}};
  if (trainable_rows.defined()) {
    own.push_back(
        {"token_adapter.trainable_tokens_delta", trainable_rows, Role::kAdapter, "trainable_rows"});
  }
  return own;
}

at::Tensor EmbeddingImpl::forward(const at::Tensor& ids) {
  const at::Tensor vectors = at::embedding(weight, ids);
  if (!trainable_rows.defined()) return vectors;
  // Without a look at which ids occur: on a GPU that would make the host wait.
  const at::Tensor slots = slots_.index_select(0, ids.flatten()).view(ids.sizes());
  const at::Tensor trained = at::embedding(trainable_rows, slots.clamp_min(0));
  return at::where(slots.ge(0).unsqueeze(-1), trained, vectors);
}

at::Tensor EmbeddingImpl::noisy(const at::Tensor& ids, const kernels::Sequences& segments) {
  const at::Tensor x_td = forward(ids);
  if (!is_training() || noise_ == 0) return x_td;
  TORCH_CHECK_VALUE(ids.dim() == 1 && ids.size(0) == segments.tokens(),
                    "Embedding: ids must be [T] with T = ", segments.tokens(),
                    ", what the segments cover, got ", ids.sizes());
  const auto options = at::TensorOptions().dtype(at::kFloat);
  at::Tensor bound_t1 = at::empty({ids.size(0), 1}, options);
  for (int64_t d = 0; d < segments.documents(); ++d) {
    const int64_t begin = segments.offsets[d], length = segments.offsets[d + 1] - begin;
    bound_t1.narrow(0, begin, length)
        .fill_(noise_ / std::sqrt(static_cast<double>(length * x_td.size(1))));
  }
  at::Tensor noise_td = at::empty(x_td.sizes(), options.device(x_td.device())).uniform_(-1, 1);
  noise_td.mul_(bound_t1.to(x_td.device()));
  return x_td + noise_td.to(x_td.scalar_type());
}

void EmbeddingImpl::set_noise(double alpha) {
  if (!std::isfinite(alpha) || alpha < 0) {
    throw Error("Embedding: the noise's alpha must be finite and at least 0, got " +
                std::to_string(alpha));
  }
  noise_ = alpha;
}

at::Tensor EmbeddingImpl::table() const {
  return trainable_rows.defined() ? weight.index_copy(0, row_index_, trainable_rows) : weight;
}

void EmbeddingImpl::add_trainable_rows(std::vector<int64_t> rows) {
  if (trainable_rows.defined()) throw Error("Embedding: has trainable rows already");
  const int64_t size = weight.size(0);
  std::set<int64_t> seen;
  for (const int64_t row : rows) {
    if (row < 0 || row >= size) {
      throw Error("Embedding: trainable row " + std::to_string(row) + " is outside the " +
                  std::to_string(size) + " rows");
    }
    if (!seen.insert(row).second) {
      throw Error("Embedding: trainable row " + std::to_string(row) + " is given twice");
    }
  }
  const at::NoGradGuard no_grad;
  rows_ = std::move(rows);
  row_index_ = torch::tensor(rows_, at::kLong).to(weight.device());
  slots_ = at::full({size}, -1, row_index_.options());
  slots_.index_copy_(0, row_index_, at::arange(row_index_.size(0), row_index_.options()));
  trainable_rows = register_parameter("trainable_rows", weight.detach().index({row_index_}));
  weight.set_requires_grad(false);
}

void EmbeddingImpl::merge_trainable_rows() {
  if (!trainable_rows.defined()) return;
  const at::NoGradGuard no_grad;
  weight.index_copy_(0, row_index_, trainable_rows);
  parameters_.erase("trainable_rows");
  trainable_rows = row_index_ = slots_ = at::Tensor();
  rows_.clear();
  weight.set_requires_grad(true);
}

void EmbeddingImpl::replace_weight(const at::Tensor& table) {
  weight = table.detach();
  weight.set_requires_grad(true);
  parameters_["weight"] = weight;
}

}  // namespace hone::nn
