/// Text on which a run measures its model, other than to score it.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "hone/data/dataset.h"
#include "hone/model/decoder.h"

namespace hone::run {

/// So many tokens at least of the sets' documents, of each set equally many where there are, in
/// batches of at most `tokens_per_batch`.
std::vector<model::DecoderInput> calibration_text(const std::vector<data::DatasetPtr>& sets,
                                                  int64_t tokens, int64_t tokens_per_batch,
                                                  at::Device device);

}  // namespace hone::run
