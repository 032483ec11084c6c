/// The data sets of domain adaptation, tokenised.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hone/data/dataset.h"
#include "hone/run/cache.h"
#include "hone/run/config.h"
#include "hone/train/evaluation.h"

namespace hone::run {

struct Data {
  std::vector<std::string> domains;  ///< a domain's index here is its id in batches
  std::vector<data::DatasetPtr> train, held_out;

  /// Training sets and held-out sets, in order: name, domain, counts, hash.
  Json json() const;
};

/// Adds what is wrong with the files that data sets name, at `path` (a JSON pointer) in the recipe.
void check_set_files(const std::string& path, const std::vector<data::DatasetOptions>& sets,
                     std::vector<Problem>& problems);

/// Throws: ConfigError naming every file of the recipe that does not exist, is trained on and held
/// out, or would be read beyond the model's positions, before hours are spent on what comes ahead
/// of reading it.
void check_files(const Config& config);

/// The positions of the recipe's model: the longest document that it was made for.
/// Throws: IoError for a config.json that cannot be read.
int64_t position_limit(const Config& config);

/// The texts of several data sets, one after another (data::read_texts).
std::vector<std::string> read_texts(const std::vector<data::DatasetOptions>& sets);

/// Reads and tokenises every data set. Throws: as data::load_dataset.
Data load_data(const Config& config, const RunTokenizer& tokenizer, Cache& cache);

/// Held-out sets only. Their documents are cut once, by the tokenizer before growth and by lengths
/// of their own: all tokenizers, steps and trials score the same text. Throws: as
/// data::load_dataset.
std::vector<data::DatasetPtr> load_held_out(const Config& config, const RunTokenizer& tokenizer,
                                            Cache& cache);

/// Held-out sets as batches of at most tokens_per_batch tokens, or of one longer document. `base`
/// are the same sets under the base's tokenizer, or the same.
std::vector<train::EvaluationSet> evaluation_sets(const std::vector<data::DatasetPtr>& held_out,
                                                  const std::vector<data::DatasetPtr>& base,
                                                  int64_t tokens_per_batch);

/// The loss weight of each of `domains`.
std::vector<double> domain_weights(const WeightOptions& options,
                                   const std::vector<std::string>& domains);

}  // namespace hone::run
