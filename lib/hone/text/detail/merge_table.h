/// The merges of a BPE model by ids.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace hone::text::detail {

/// Merges, old and new, and what they make of a row of tokens.
class MergeTable {
 public:
  /// Behind all others; of two for one pair the later stands, as in `tokenizers`.
  void add(int64_t left, int64_t right, int64_t id) {
    merges_[key(left, right)] = {next_rank_++, id};
  }

  /// Merges neighbours, lowest rank first, leftmost of equals.
  void apply(std::vector<int64_t>& tokens) const {
    while (true) {
      const Merge* best = nullptr;
      size_t where = 0;
      for (size_t i = 0; i + 1 < tokens.size(); ++i) {
        const auto found = merges_.find(key(tokens[i], tokens[i + 1]));
        if (found == merges_.end() || (best && best->rank <= found->second.rank)) continue;
        best = &found->second;
        where = i;
      }
      if (!best) return;
      tokens[where] = best->id;
      tokens.erase(tokens.begin() + static_cast<int64_t>(where) + 1);
    }
  }

 private:
  struct Merge {
    size_t rank;
    int64_t id;
  };
  static uint64_t key(int64_t left, int64_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
  }
  std::unordered_map<uint64_t, Merge> merges_;
  size_t next_rank_ = 0;
};

}  // namespace hone::text::detail
