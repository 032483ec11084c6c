/// What training consumes: tokenised documents, laid end to end without padding.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace hone::data {

namespace detail {
struct Source;
}

/// Target of a position that is not trained, as in the Hugging Face family.
inline constexpr int64_t kIgnoreIndex = -100;

/// One tokenised document (or a stretch of one).
///
/// `targets[i]` is the token that position i must predict, that is the document's token i + 1, or
/// kIgnoreIndex where that token is not trained; the document's last position has none. So labels
/// in the unshifted Hugging Face form are {kIgnoreIndex, targets[0], ..., targets[n - 2]}.
/// The vectors have the same length, at least 1.
struct Example {
  std::vector<int64_t> ids;
  std::vector<int64_t> targets;
  std::vector<float> weights;  ///< per target: 1 = plain, entity multipliers otherwise
  int32_t domain = 0;          ///< index into the run's list of domains
  std::shared_ptr<const detail::Source> source;  ///< for augmentation; null unless asked for

  int64_t length() const { return static_cast<int64_t>(ids.size()); }
  /// Targets other than kIgnoreIndex.
  int64_t trained() const;
};

/// Documents laid end to end: T positions of D documents, no padding.
struct Batch {
  std::vector<int64_t> input_ids;  ///< [T]
  std::vector<int64_t> targets;    ///< [T], as Example::targets
  std::vector<int64_t> positions;  ///< [T], 0, 1, ... within each document
  std::vector<float> weights;      ///< [T]
  std::vector<int64_t> domains;    ///< [T]
  std::vector<int64_t> offsets;    ///< [D + 1], where documents begin; the last is T (cu_seqlens)

  int64_t tokens() const { return static_cast<int64_t>(input_ids.size()); }
  int64_t documents() const {
    return offsets.empty() ? 0 : static_cast<int64_t>(offsets.size()) - 1;
  }
  /// Targets other than kIgnoreIndex.
  int64_t trained() const;

  /// The same one token further: each position has the id, target and weight of the next in its
  /// document; the last keeps its id and has no target. Positions stay.
  Batch further() const;

  /// Adds a document at the end. Throws: Error if its vectors differ in length or are empty.
  void append(const Example& example);
};

bool operator==(const Batch& a, const Batch& b);

}  // namespace hone::data
