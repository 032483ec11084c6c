/// Text that a student writes itself, for its teacher to judge.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "hone/core/json.h"
#include "hone/data/batch.h"
#include "hone/model/decoder.h"
#include "hone/run/distillation_options.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::run {

class DecoderStep;

/// Draws which of a run's batches become on-policy (Agarwal et al. 2024, GKD) and writes them: each
/// document keeps what comes before its first target, min_prompt tokens at least, and the student
/// goes on from there to its eos or as far as the document went, max_new_tokens at most. Only what
/// it wrote has targets, the eos included; documents of no more than a prompt stay out of the
/// batch.
class OnPolicy {
 public:
  /// What it draws follows from `seed` and the batches since the run's begin.
  OnPolicy(const OnPolicyOptions& options, model::Decoder student,
           const text::TokenizerFolder& text, uint64_t seed)
      : options_(options), student_(std::move(student)), text_(text), seed_(seed) {}

  /// `batch`, or the student's in its place, unless nothing of that counts.
  data::Batch next(data::Batch batch, const DecoderStep& step);
  /// Whether the last one was the student's.
  bool written() const { return written_; }

  /// The share of the student's among the batches since the last call; 0 of none.
  double take_share();
  int64_t state() const { return batches_; }
  void restore(int64_t batches) { batches_ = batches; }

 private:
  data::Batch write(const data::Batch& batch);

  const OnPolicyOptions options_;
  model::Decoder student_;
  const text::TokenizerFolder& text_;
  const uint64_t seed_;
  int64_t batches_ = 0;
  bool written_ = false;
  int64_t mine_ = 0, all_ = 0;  // since take_share()
};

}  // namespace hone::run
