#include "hone/run/decoder_step.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <optional>
#include <utility>

#include "hone/core/error.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/kernels/linear_cross_entropy.h"
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
      weights_(weights) {
  loss_->to(decoder_->device());
}

model::DecoderInput DecoderStep::input(const data::Batch& batch) const {
  const at::Device device = decoder_->device();
  return {to_tensor(batch.input_ids, device), to_tensor(batch.positions, device),
          kernels::Sequences::from_offsets(batch.offsets, device)};
}

loss::LossSum DecoderStep::loss(const data::Batch& batch) {
  const at::Device device = decoder_->device();
  decoder_->train();
  const at::Tensor targets = to_tensor(batch.targets, device);
  const at::Tensor domains = to_tensor(batch.domains, device);
  at::Tensor token_nll;
  if (domain_nll_.defined()) {
    token_nll = at::zeros({batch.tokens()}, at::TensorOptions(device).dtype(at::kFloat));
  }
  const model::DecoderInput tokens = input(batch);
  std::optional<kernels::SoftTargets> soft;
  if (teacher_) soft = teacher_(tokens);
  loss::LossSum loss = loss_->forward_linear(
      decoder_->hidden(tokens), decoder_->lm_weight(), targets, domains,
      torch::tensor(batch.weights, at::kFloat).to(device), token_nll, soft ? &*soft : nullptr);
  if (token_nll.defined()) {
    const at::Tensor counted = targets.ne(data::kIgnoreIndex).to(at::kDouble);
    domain_nll_.index_add_(0, domains.cpu(),
                           at::stack({token_nll.to(at::kDouble), counted}, 1).cpu());
  }
  return loss;
}

void DecoderStep::set_weights(const std::vector<double>& weights) {
  loss_->set_weights(weights);
  weights_ = weights;
}

double DecoderStep::weight(const data::Batch& batch) const {
  double sum = 0;
  for (size_t i = 0; i < batch.targets.size(); ++i) {
    if (batch.targets[i] == data::kIgnoreIndex) continue;
    sum += batch.weights[i] * weights_.at(static_cast<size_t>(batch.domains[i]));
  }
  return sum;
}

at::Tensor DecoderStep::take_domain_nll() {
  return std::exchange(domain_nll_, at::zeros_like(domain_nll_));
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
