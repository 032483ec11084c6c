#include "hone/run/decoder_step.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <numeric>
#include <optional>
#include <utility>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "hone/kernels/with_loss.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"

namespace hone::run {
namespace {

at::Tensor to_tensor(const std::vector<int64_t>& values, at::Device device) {
  return torch::tensor(values, at::kLong).to(device);
}

void copy_into(const at::Tensor& target, const at::Tensor& source, const std::string& name,
               const std::string& folder) {
  if (source.sizes() != target.sizes()) {
    throw IoError(folder, "holds another shape of " + name + " than the run: " +
                              c10::str(source.sizes()) + " for " + c10::str(target.sizes()));
  }
  const torch::NoGradGuard no_grad;
  target.copy_(source);
}

}  // namespace

DecoderStep::DecoderStep(model::Decoder decoder, const std::vector<double>& weights)
    : decoder_(std::move(decoder)),
      loss_(loss::DomainWeightedLossOptions{.weights = weights}),
      weights_(weights),
      multi_token_sums_(at::zeros({std::ssize(decoder_->multi_token), 2}, at::kDouble)),
      index_sums_(at::zeros({std::ssize(decoder_->indexers()), 2}, at::kDouble)) {
  loss_->to(decoder_->device());
}

model::DecoderInput decoder_input(const data::Batch& batch, at::Device device) {
  return {to_tensor(batch.input_ids, device), to_tensor(batch.positions, device),
          kernels::Sequences::from_offsets(batch.offsets, device)};
}

loss::LossSum DecoderStep::loss_of(const at::Tensor& hidden, const data::Batch& batch,
                                   const at::Tensor& token_nll, const kernels::SoftTargets* soft) {
  const at::Device device = decoder_->device();
  return loss_->forward_linear(hidden, decoder_->lm_weight(), to_tensor(batch.targets, device),
                               to_tensor(batch.domains, device),
                               torch::tensor(batch.weights, at::kFloat).to(device), token_nll,
                               soft);
}

at::Tensor DecoderStep::multi_token_sum(at::Tensor hidden, data::Batch batch) {
  at::Tensor sum;
  for (size_t depth = 0; depth < decoder_->multi_token.size(); ++depth) {
    batch = batch.further();
    hidden = decoder_->further(depth, hidden, input(batch));
    const loss::LossSum loss = loss_of(hidden, batch);
    multi_token_sums_[static_cast<int64_t>(depth)] +=
        at::stack({loss.sum.detach(), loss.weight}).to(multi_token_sums_.options());
    sum = sum.defined() ? sum + loss.sum : loss.sum;
  }
  return sum;
}

at::Tensor DecoderStep::index_sum() {
  at::Tensor sum;
  int64_t layer = 0;
  for (auto& [number, indexer] : decoder_->indexers()) {
    const auto [loss, queries] = indexer->take_loss();
    index_sums_[layer][0] += loss.detach().to(index_sums_.options());
    index_sums_[layer++][1] += queries;
    sum = sum.defined() ? sum + loss : loss;
  }
  return sum;
}

loss::LossSum DecoderStep::loss(const data::Batch& batch) {
  const at::Device device = decoder_->device();
  decoder_->train();
  at::Tensor token_nll;
  if (domain_nll_.defined()) {
    token_nll = at::zeros({batch.tokens()}, at::TensorOptions(device).dtype(at::kFloat));
  }
  const model::DecoderInput tokens = input(batch);
  std::optional<kernels::SoftTargets> soft;
  if (teacher_) soft = teacher_(batch, tokens);
  const at::Tensor hidden = decoder_->hidden(tokens);
  loss::LossSum loss = loss_of(hidden, batch, token_nll, soft ? &*soft : nullptr);
  if (token_nll.defined()) {
    const at::Tensor counted =
        to_tensor(batch.targets, at::kCPU).ne(data::kIgnoreIndex).to(at::kDouble);
    domain_nll_.index_add_(0, to_tensor(batch.domains, at::kCPU),
                           at::stack({token_nll.cpu().to(at::kDouble), counted}, 1));
  }
  if (beside_) {
    const at::Tensor beside = beside_(batch);
    if (beside.defined()) loss.sum = kernels::with_loss(loss.sum, beside);
  }
  if (multi_token_ > 0) {
    const auto depths = static_cast<double>(decoder_->multi_token.size());
    loss.sum =
        kernels::with_loss(loss.sum, multi_token_sum(hidden, batch) * (multi_token_ / depths));
  }
  if (index_weight_ > 0) {
    const double each = index_weight_ * weight(batch) / static_cast<double>(batch.tokens());
    loss.sum = kernels::with_loss(loss.sum, index_sum() * each);
  }
  return loss;
}

void DecoderStep::set_weights(const std::vector<double>& weights) {
  loss_->set_weights(weights);
  weights_ = weights;
}

std::vector<double> DecoderStep::token_weights(const data::Batch& batch) const {
  std::vector<double> weights(batch.targets.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    if (batch.targets[i] == data::kIgnoreIndex) continue;
    weights[i] = batch.weights[i] * weights_.at(static_cast<size_t>(batch.domains[i]));
  }
  return weights;
}

double DecoderStep::weight(const data::Batch& batch) const {
  const std::vector<double> weights = token_weights(batch);
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

at::Tensor DecoderStep::take_domain_nll() {
  return std::exchange(domain_nll_, at::zeros_like(domain_nll_));
}

at::Tensor DecoderStep::take_multi_token() {
  return std::exchange(multi_token_sums_, at::zeros_like(multi_token_sums_));
}

at::Tensor DecoderStep::take_index_losses() {
  return std::exchange(index_sums_, at::zeros_like(index_sums_));
}

at::Tensor DecoderStep::nll(const data::Batch& batch) {
  const torch::NoGradGuard no_grad;
  decoder_->eval();
  return kernels::linear_nll(decoder_->hidden(input(batch)), decoder_->lm_weight(),
                             to_tensor(batch.targets, decoder_->device()));
}

data::Batch next_counting(data::Loader& loader, const DecoderStep& step) {
  constexpr int kMost = 1000;
  for (int i = 0; i < kMost; ++i) {
    data::Batch batch = loader.next();
    if (step.weight(batch) > 0) return batch;
  }
  throw Error("the last " + std::to_string(kMost) +
              " batches held no target of a weight above 0: the domains' weights leave out all the "
              "text that is drawn");
}

void write_decoder(const std::string& folder, model::Decoder& decoder, const Json& config,
                   const std::string& tokenizer_folder, const std::string& base_name) {
  if (model::has_adapter(decoder)) {
    io::write_adapter(folder, model::adapter_files(decoder, base_name));
  } else {
    model::write_decoder(folder, decoder, config, {.source_folder = tokenizer_folder});
  }
}

void read_decoder(const std::string& folder, model::Decoder& decoder,
                  const std::string& base_name) {
  if (model::has_adapter(decoder)) {
    const io::AdapterFiles saved = io::read_adapter(folder);
    for (const auto& [name, tensor] : model::adapter_files(decoder, base_name).tensors) {
      const auto found = saved.tensors.find(name);
      if (found == saved.tensors.end()) throw IoError(folder, "holds no tensor " + name);
      copy_into(tensor, found->second, name, folder);
    }
  } else {
    model::read_weights(decoder, io::Checkpoint::open(folder));
  }
}

}  // namespace hone::run
