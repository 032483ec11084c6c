/// Batches for training, prepared on a thread of their own, with an exact position.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/data/augmentation.h"
#include "hone/data/batch.h"
#include "hone/data/dataset.h"
#include "hone/data/packing.h"

namespace hone::data {

struct LoaderOptions {
  int64_t tokens_per_batch = 1024;  ///< positions a batch holds at most
  double temperature = 1.0;         ///< of the mix, see Mixture
  Packing packing = Packing::kBestFit;
  int64_t window_batches = 16;  ///< batches' worth of documents packed together, >= 2
  int64_t prefetch = 4;         ///< batches prepared ahead, >= 1
  bool shuffle = true;
  uint64_t seed = 0;
  /// Whether documents of two passes over the text are never packed into one batch: with equal
  /// weights and temperature 1 every document is then in exactly one batch of each pass.
  bool whole_passes = false;
};

/// An endless stream of packed batches from a mix of data sets.
///
/// With an Augmenter every document is drawn as a variant of its own; batches are packed from the
/// variants, while shares of the mix count the documents' own tokens.
///
/// Deterministic: the sequence depends on the data sets, the options and the calls of
/// set_weights and set_augmentation_rate, not on timing. state() is the position after the last
/// batch handed out, whatever is prepared ahead; a loader that restores it goes on with the same
/// batches, bit for bit. An error on the loader's thread is thrown by next(). Not for calls from
/// several threads.
class Loader {
 public:
  /// Throws: Error if a data set is empty, has no trained target, or holds a document over
  /// tokens_per_batch; for options out of range.
  Loader(std::vector<DatasetPtr> sets, const LoaderOptions& options,
         std::shared_ptr<const Augmenter> augmenter = nullptr);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  Batch next();

  /// A JSON object; small: its size grows with the window, not with the data.
  Json state() const;
  /// Throws: Error if the state was saved with other data, options or seed; it names which.
  void restore(const Json& state);

  /// New weights of the data sets, in effect from the next batch on: documents drawn but not yet
  /// handed out go back to their sets. Throws: Error for a wrong count or a bad weight.
  void set_weights(const std::vector<double>& weights);
  std::vector<double> weights() const;
  /// Share of each data set in the tokens of the mix, summing to 1.
  std::vector<double> shares() const;

  /// Share of the drawn documents that are augmented, in effect from the next batch on, as for
  /// set_weights; part of the state. With the rate that it has already, nothing happens.
  /// Throws: Error unless it lies in [0, 1], or if it is above 0 without an Augmenter.
  void set_augmentation_rate(double rate);
  /// 0 without an Augmenter.
  double augmentation_rate() const;

  /// Batches, from the beginning and after the first `skipped`, until `passes` times the text of
  /// the sets with a weight has been handed out, found by drawing and packing them; at least 1.
  /// Not after next().
  int64_t count_batches(double passes, int64_t skipped = 0);

  /// Tokens of each data set handed out so far, resumed ones included.
  std::vector<int64_t> tokens_drawn() const;

 private:
  struct Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace hone::data
