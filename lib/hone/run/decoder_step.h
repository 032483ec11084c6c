/// The forward passes of training and scoring a decoder on packed batches.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "hone/data/batch.h"
#include "hone/data/loader.h"
#include "hone/kernels/linear_cross_entropy.h"
#include "hone/loss/domain_weighted_loss.h"
#include "hone/model/decoder.h"

namespace hone::run {

/// A batch as a decoder on this device takes it.
model::DecoderInput decoder_input(const data::Batch& batch, at::Device device);

/// What a teacher says of a batch, which is also given as the decoder takes it.
using Teacher = std::function<kernels::SoftTargets(const data::Batch&, const model::DecoderInput&)>;

class DecoderStep {
 public:
  /// `weights` is the loss weight of each domain.
  DecoderStep(model::Decoder decoder, const std::vector<double>& weights);

  /// Weighted loss of a batch with its graph, dropout on.
  loss::LossSum loss(const data::Batch& batch);
  /// New loss weights of the domains.
  void set_weights(const std::vector<double>& weights);
  const std::vector<double>& weights() const { return weights_; }
  /// From now on loss() is shared with a teacher, which it asks first; an empty one ends that.
  void set_teacher(Teacher teacher) { teacher_ = std::move(teacher); }
  /// From now on loss() asks for a further loss of each batch that has passed the decoder,
  /// undivided as its own is: its gradient comes to it, the sum that it returns is without it. An
  /// undefined one adds nothing, an empty function ends that.
  void set_beside(std::function<at::Tensor(const data::Batch&)> beside) {
    beside_ = std::move(beside);
  }
  /// The weight of each position's target; 0 without one.
  std::vector<double> token_weights(const data::Batch& batch) const;
  /// Their sum: what the batch's loss is divided by.
  double weight(const data::Batch& batch) const;
  /// From now on loss() also sums each domain's nll.
  void measure_domains() { domain_nll_ = at::zeros({loss_->weights.size(0), 2}, at::kDouble); }
  /// The sums since the last call: {nll, targets} of each domain [M, 2] float64, unweighted.
  at::Tensor take_domain_nll();
  /// From now on loss() also trains the decoder's layers for multi-token prediction: to its
  /// gradient comes that of `weight` times the mean over their depths of their losses, divided as
  /// loss() is, by the weight of its targets (DeepSeek-V3, eq. 24 and 25). The sum that it returns
  /// is without them. 0: they are not computed.
  void set_multi_token(double weight) { multi_token_ = weight; }
  double multi_token() const { return multi_token_; }
  /// What came of these losses since the last call: {sum, weight} by depth [depths, 2] float64.
  at::Tensor take_multi_token();
  /// From now on loss() also teaches the decoder's indexers, where these learn: to its gradient
  /// comes that of `weight` times the sum over the layers of the mean over the batch's positions of
  /// kernels::index_loss, divided as loss() is, so that batches count by their targets' weight. The
  /// sum that it returns is without them. 0: they learn nothing.
  void set_index_weight(double weight) { index_weight_ = weight; }
  double index_weight() const { return index_weight_; }
  /// What came of these since the last call: {sum, positions} by layer, in the order of
  /// Decoder::indexers() [layers, 2] float64.
  at::Tensor take_index_losses();
  /// nll of each target [T], unweighted, dropout off, no graph.
  at::Tensor nll(const data::Batch& batch);

 private:
  model::DecoderInput input(const data::Batch& batch) const {
    return decoder_input(batch, decoder_->device());
  }
  loss::LossSum loss_of(const at::Tensor& hidden, const data::Batch& batch,
                        const at::Tensor& token_nll = {},
                        const kernels::SoftTargets* soft = nullptr);
  /// The sum over all layers of the losses of their indexers in the pass that has ended.
  at::Tensor index_sum();
  /// The sum over all depths, of what hidden() gave.
  at::Tensor multi_token_sum(at::Tensor hidden, data::Batch batch);

  model::Decoder decoder_;
  loss::DomainWeightedLoss loss_;
  std::vector<double> weights_;
  Teacher teacher_;
  std::function<at::Tensor(const data::Batch&)> beside_;
  at::Tensor domain_nll_;  // undefined: not measured
  double multi_token_ = 0;
  at::Tensor multi_token_sums_;
  double index_weight_ = 0;
  at::Tensor index_sums_;
};

/// The loader's next batch of which something counts; those before it, whose targets all weigh 0,
/// are passed over. Throws: Error if a thousand in a row do.
data::Batch next_counting(data::Loader& loader, const DecoderStep& step);

/// Writes the decoder's state into a checkpoint folder: the whole model as a checkpoint folder that
/// transformers loads, with the files of `tokenizer_folder`; or, where it carries an adapter, the
/// adapter as PEFT has it, for the base `base_name`.
void write_decoder(const std::string& folder, model::Decoder& decoder, const Json& config,
                   const std::string& tokenizer_folder, const std::string& base_name);

/// Copies what write_decoder wrote into the parameters, which stay the same tensors.
/// Throws: IoError if the folder holds other tensors or shapes.
void read_decoder(const std::string& folder, model::Decoder& decoder, const std::string& base_name);

}  // namespace hone::run
