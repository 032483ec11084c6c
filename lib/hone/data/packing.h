/// Packing documents into batches of a bounded number of positions.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "hone/core/names.h"
#include "hone/data/batch.h"

namespace hone::data {

enum class Packing {
  kBestFit,  ///< best-fit-decreasing inside a window of drawn documents
  kInOrder,  ///< greedy, in the order drawn
};

/// Indices of the documents of each bin.
using Bins = std::vector<std::vector<size_t>>;

/// Best-fit-decreasing: longest document first, each into the fullest bin that still holds it;
/// equal lengths keep their order. O(n log n). Every index occurs exactly once.
/// Throws: Error if a length is below 1 or over `budget`.
Bins pack_best_fit(const std::vector<int64_t>& lengths, int64_t budget);

/// Next-fit: documents in order, a new bin whenever the next one does not fit.
/// Throws: as pack_best_fit.
Bins pack_in_order(const std::vector<int64_t>& lengths, int64_t budget);

/// A held-out set as fixed batches: its documents in order, nothing shuffled, nothing left out. A
/// document over `tokens_per_batch` is a batch of its own: no gradients are kept for it.
std::vector<Batch> eval_batches(const std::vector<Example>& examples, int64_t tokens_per_batch);

}  // namespace hone::data

template <>
struct hone::EnumNames<hone::data::Packing> {
  static constexpr std::pair<data::Packing, const char*> values[] = {
      {data::Packing::kBestFit, "best_fit"}, {data::Packing::kInOrder, "in_order"}};
};
