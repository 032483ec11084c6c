/// A decoder in eval mode for a while.
#pragma once
#include "hone/model/decoder.h"

namespace hone::infer::detail {

class EvalMode {
 public:
  explicit EvalMode(model::Decoder& decoder)
      : decoder_(decoder), training_(decoder->is_training()) {
    if (training_) decoder_->eval();
  }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;
  ~EvalMode() {
    if (training_) decoder_->train();
  }

 private:
  model::Decoder decoder_;
  bool training_;
};

}  // namespace hone::infer::detail
