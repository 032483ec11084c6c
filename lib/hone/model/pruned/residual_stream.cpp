#include "hone/model/pruned/residual_stream.h"

#include <torch/types.h>

#include <cstdint>
#include <utility>

namespace hone::model {
namespace {

/// The norm at a place.
nn::Norm& norm_at(Decoder& decoder, size_t place) {
  if (place == 2 * decoder->layers.size()) return decoder->norm;
  nn::DecoderBlock& block = decoder->layers[place / 2];
  return place % 2 == 0 ? block->input_layernorm : block->post_attention_layernorm;
}

class WatchedNorm : public nn::NormImpl {
 public:
  WatchedNorm(nn::Norm norm, size_t place, ResidualWatch::See see)
      : norm_(std::move(norm)), place_(place), see_(std::move(see)) {}

  at::Tensor forward(const at::Tensor& x) override {
    at::Tensor normed = norm_(x);
    see_(place_, x, normed);
    return normed;
  }
  int64_t saved(int64_t width, const nn::StepShape& step) const override {
    return norm_->saved(width, step);
  }

 private:
  nn::Norm norm_;
  size_t place_;
  ResidualWatch::See see_;
};

}  // namespace

ResidualWatch::ResidualWatch(Decoder decoder, See see) : decoder_(std::move(decoder)) {
  for (size_t place = 0; place <= 2 * decoder_->layers.size(); ++place) {
    nn::Norm& norm = norm_at(decoder_, place);
    norms_.push_back(norm);
    norm = nn::Norm(std::make_shared<WatchedNorm>(norm, place, see));
  }
}

ResidualWatch::~ResidualWatch() {
  for (size_t place = 0; place < norms_.size(); ++place) {
    norm_at(decoder_, place) = std::move(norms_[place]);
  }
}

std::vector<double> block_importances(const Decoder& decoder, const Passes& passes) {
  std::vector<double> cosines(decoder->layers.size());
  int64_t positions = 0;
  at::Tensor before;
  {
    const ResidualWatch watch(decoder, [&](size_t place, const at::Tensor& x, const at::Tensor&) {
      if (place % 2 == 1) return;
      const at::Tensor now = x.to(at::kFloat);
      if (place == 0) {
        positions += x.size(0);
      } else {
        cosines[place / 2 - 1] +=
            at::cosine_similarity(before, now, 1).sum(at::kDouble).item<double>();
      }
      before = now;
    });
    passes();
  }
  for (double& cosine : cosines) cosine = 1 - cosine / static_cast<double>(positions);
  return cosines;
}

}  // namespace hone::model
