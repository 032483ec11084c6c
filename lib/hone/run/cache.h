/// What the runs of one process share: tokenizers, data sets, frozen bases and the bases' scores
/// are made once and kept by all that they depend on.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hone/data/dataset.h"
#include "hone/run/base.h"
#include "hone/run/tokenizer.h"
#include "hone/train/evaluation.h"

namespace hone::run {

/// Not for several threads. Forked processes share what the parent had read.
class Cache {
 public:
  /// The tokenizer of make_tokenizer(config).
  RunTokenizer tokenizer(const Config& config);

  /// The base of load_base(). Where the run freezes it (tuning lora, a new adapter, no growth) runs
  /// share one decoder, without adapter: give it back by release(), or it is loaded anew next time.
  Base base(const Config& config, const text::TokenizerFolder& text,
            const machine::DevicePlan& device);
  /// Says that `decoder`, its adapter dropped, is again what base() gave.
  void release(Base base);

  /// data::load_dataset of `set`, kept while it is among the last few; a grown tokenizer's is not.
  /// `entities` is all that makes context.entities.
  data::DatasetPtr dataset(const data::DatasetOptions& set, const RunTokenizer& tokenizer,
                           const data::LoadContext& context, const Json& entities);

  /// The base's scores on the recipe's held-out sets, computed by `score` the first time.
  train::Evaluation base_scores(const Config& config,
                                const std::function<train::Evaluation()>& score);

 private:
  std::map<std::string, RunTokenizer> tokenizers_;
  /// A data set, and the bound on its documents under which it was loaded.
  struct Entry {
    std::string key;
    int64_t max_length = 0;
    int64_t longest = 0;
    data::DatasetPtr set;
  };

  std::deque<Entry> datasets_;
  std::map<std::string, train::Evaluation> scores_;
  std::optional<Base> free_base_;
};

}  // namespace hone::run
