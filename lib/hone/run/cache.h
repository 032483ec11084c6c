/// What the runs of one process share: tokenizers, data sets, frozen bases and the bases' scores
/// are made once and kept by all that they depend on.
#pragma once
#include <functional>
#include <memory>

#include "hone/data/dataset.h"
#include "hone/run/tokenizer.h"
#include "hone/train/evaluation.h"

namespace hone::run {

struct Base;

/// Not for several threads. Forked processes share what the parent had read.
class Cache {
 public:
  Cache();
  ~Cache();

  /// The tokenizer of make_tokenizer(config).
  RunTokenizer tokenizer(const Config& config);

  /// The base of load_base(). Where the run freezes it (tuning lora, a new adapter, no growth) runs
  /// share one decoder, without adapter: give it back by release(), or it is loaded anew next time.
  Base base(const Config& config, const text::TokenizerFolder& text,
            const machine::DevicePlan& device);
  /// Says that the decoder, its adapter dropped, is again what base() gave.
  void release(Base base);

  /// data::load_dataset of `set`, kept while it is among the last few; a grown tokenizer's is not.
  /// `entities` is all that makes context.entities.
  data::DatasetPtr dataset(const data::DatasetOptions& set, const RunTokenizer& tokenizer,
                           const data::LoadContext& context, const Json& entities);

  /// The base's scores on the recipe's held-out sets, computed by `score` the first time.
  train::Evaluation base_scores(const Config& config,
                                const std::function<train::Evaluation()>& score);

 private:
  struct Kept;
  const std::unique_ptr<Kept> kept_;
};

}  // namespace hone::run
