#include "hone/nn/embedding.h"

#include <torch/torch.h>

#include <set>
#include <string>

#include "hone/core/error.h"

namespace hone::nn {

EmbeddingImpl::EmbeddingImpl(int64_t rows, int64_t dim, const at::TensorOptions& tensor_options)
    : weight(register_parameter("weight", at::empty({rows, dim}, tensor_options))) {}

at::Tensor EmbeddingImpl::forward(const at::Tensor& ids) {
  const at::Tensor vectors = at::embedding(weight, ids);
  if (!trainable_rows.defined()) return vectors;
  // Without a look at which ids occur: on a GPU that would make the host wait.
  const at::Tensor slots = slots_.index_select(0, ids.flatten()).view(ids.sizes());
  const at::Tensor trained = at::embedding(trainable_rows, slots.clamp_min(0));
  return at::where(slots.ge(0).unsqueeze(-1), trained, vectors);
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
  trainable_rows =
      register_parameter("trainable_rows", weight.detach().index_select(0, row_index_));
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
