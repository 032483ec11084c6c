/// Texts as rows of tokens in which terms become one token, with what that saves.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hone/text/detail/merge_table.h"

namespace hone::text::detail {

/// Distinct rows of tokens with weights: how often each occurs. Ids must lie in [0, 2^32).
///
/// Rows are found by pairs of neighbours of the tokens that were added; a token that replaces some
/// is known by the first and the last of them. Memory: 4 bytes a token, 4 for each pair of
/// neighbours that is frequent enough to be asked for.
class TermCorpus {
 public:
  /// Before index(). Returns the row's number.
  size_t add(const std::vector<int64_t>& tokens, int64_t weight);
  /// Makes rows findable by pairs that occur `min_count` times or more.
  void index(int64_t min_count);

  std::vector<int64_t> row(size_t row) const;
  int64_t weight(size_t row) const { return rows_[row].weight; }

  /// How often a pair of neighbours occurred when index() was called; 0 below its min_count.
  int64_t pair_count(int64_t left, int64_t right) const;

  /// How often the first 2, the first 3, ... and all of the tokens stand side by side, without
  /// overlap. The sequence must have 2 tokens at least.
  std::vector<int64_t> count(const std::vector<int64_t>& sequence);

  /// Puts the token in the place of every such sequence, left to right. With `merges` (that hold
  /// the token's own merge), merges that now apply are done too. Returns the tokens saved.
  int64_t replace(const std::vector<int64_t>& sequence, int64_t id, const MergeTable* merges);
  /// Makes a whole row one token. Returns the tokens saved.
  int64_t replace_row(size_t row, int64_t id);

 private:
  struct Row {
    size_t begin;
    uint32_t length, stamp = 0;
    int64_t weight;
  };
  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> rows;
  };

  static uint64_t key(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }
  /// The pair of added tokens that stands where `left` and `right` meet.
  uint64_t seam(uint32_t left, uint32_t right) const;
  /// Calls `visit(row)` once for each row that may hold the sequence.
  template <class Visit>
  void visit_rows(const std::vector<int64_t>& sequence, Visit&& visit);
  /// Tokens of the sequence, from its first, that stand at a place of the row.
  size_t match(const Row& row, size_t at, const std::vector<int64_t>& sequence) const;
  void merge_further(Row& row, uint32_t number, const MergeTable& merges);

  std::vector<uint32_t> tokens_;  ///< of all rows; rows only become shorter
  std::vector<Row> rows_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::unordered_map<uint32_t, std::pair<uint32_t, uint32_t>> ends_;  ///< of tokens put in
  uint32_t stamp_ = 0;
};

}  // namespace hone::text::detail
