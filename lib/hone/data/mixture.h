/// The order in which documents of several data sets are drawn.
#pragma once
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "hone/core/json.h"

namespace hone::data {

/// One drawn document.
struct Draw {
  int64_t set = 0;       ///< data set
  int64_t document = 0;  ///< its index in the set
  bool again = false;    ///< it had been put back
  int64_t epoch = 0;     ///< pass over the set in which it was first drawn
  friend bool operator==(const Draw& a, const Draw& b) {
    return a.set == b.set && a.document == b.document;
  }
};

/// An endless, deterministic stream of documents in which set i gets the share
///
///   p_i = weight_i * n_i^(1/T) / sum_j weight_j * n_j^(1/T)        n_i = tokens of set i
///
/// of all tokens. The next document comes from the set with the least drawn_i / p_i, so shares
/// hold at every moment to within a document, not only in the mean. Each pass (epoch) over a set
/// has its own order, shuffled by a seed that depends on the run's seed, the set and the epoch.
/// T = 1 and equal weights: every set ends its epoch at about the same time. Large T: shares
/// follow the weights alone.
class Mixture {
 public:
  /// `lengths[i][d]` tokens of document d of set i. Throws: Error if nothing can be drawn, a
  /// weight is negative or not finite, or a set with a weight is empty.
  Mixture(std::vector<std::vector<int64_t>> lengths, std::vector<double> weights,
          double temperature, uint64_t seed, bool shuffle = true);

  Draw draw();

  /// Puts documents back, which come first when their set is next drawn.
  void put_back(const std::vector<Draw>& draws);

  /// New weights from the next draw on; counts of drawn tokens begin again, so that the new
  /// shares hold from here and the past is not made up for. Throws: as the constructor.
  void set_weights(std::vector<double> weights);
  const std::vector<double>& weights() const { return weights_; }
  /// p_i, summing to 1.
  const std::vector<double>& shares() const { return shares_; }

  int64_t length(const Draw& draw) const { return lengths_[draw.set][draw.document]; }

  /// Everything that decides the coming draws.
  Json state() const;
  /// Throws: Error if the state is not of this mixture's sets, Json::exception if it is broken;
  /// the mixture is then as it was.
  void restore(const Json& state);

 private:
  struct Position {
    int64_t epoch = 0;
    int64_t next = 0;                                  ///< index into order
    int64_t drawn = 0;                                 ///< tokens since the weights last changed
    std::deque<std::pair<int64_t, int64_t>> returned;  ///< document and the epoch it is of
    std::vector<int64_t> order;                        ///< of this epoch
  };
  /// Sets weights_ and shares_, or neither.
  void use_weights(std::vector<double> weights);
  /// The order of the set's present epoch.
  void shuffle_epoch(int64_t set);

  std::vector<std::vector<int64_t>> lengths_;
  std::vector<double> weights_;
  std::vector<double> shares_;
  std::vector<double> tokens_;  ///< of each set
  std::vector<Position> positions_;
  double temperature_;
  uint64_t seed_;
  bool shuffle_;
};

}  // namespace hone::data
