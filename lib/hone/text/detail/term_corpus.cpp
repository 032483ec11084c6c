#include "hone/text/detail/term_corpus.h"

#include <algorithm>

namespace hone::text::detail {

size_t TermCorpus::add(const std::vector<int64_t>& tokens, int64_t weight) {
  rows_.push_back({tokens_.size(), static_cast<uint32_t>(tokens.size()), 0, weight});
  for (const int64_t token : tokens) tokens_.push_back(static_cast<uint32_t>(token));
  return rows_.size() - 1;
}

void TermCorpus::index(int64_t min_count) {
  const auto each_pair = [this](auto&& visit) {
    for (uint32_t r = 0; r < rows_.size(); ++r) {
      const uint32_t* tokens = tokens_.data() + rows_[r].begin;
      for (uint32_t i = 0; i + 1 < rows_[r].length; ++i) visit(r, key(tokens[i], tokens[i + 1]));
    }
  };
  each_pair([this](uint32_t r, uint64_t pair) { pairs_[pair].count += rows_[r].weight; });
  std::erase_if(pairs_, [&](const auto& item) { return item.second.count < min_count; });
  each_pair([this](uint32_t r, uint64_t pair) {
    const auto found = pairs_.find(pair);
    if (found == pairs_.end()) return;
    std::vector<uint32_t>& rows = found->second.rows;
    if (rows.empty() || rows.back() != r) rows.push_back(r);
  });
}

std::vector<int64_t> TermCorpus::row(size_t row) const {
  const auto begin = tokens_.begin() + static_cast<int64_t>(rows_[row].begin);
  return {begin, begin + rows_[row].length};
}

uint64_t TermCorpus::seam(uint32_t left, uint32_t right) const {
  const auto last = ends_.find(left), first = ends_.find(right);
  return key(last == ends_.end() ? left : last->second.second,
             first == ends_.end() ? right : first->second.first);
}

int64_t TermCorpus::pair_count(int64_t left, int64_t right) const {
  const auto found = pairs_.find(key(static_cast<uint32_t>(left), static_cast<uint32_t>(right)));
  return found == pairs_.end() ? 0 : found->second.count;
}

template <class Visit>
void TermCorpus::visit_rows(const std::vector<int64_t>& sequence, Visit&& visit) {
  const auto found =
      pairs_.find(seam(static_cast<uint32_t>(sequence[0]), static_cast<uint32_t>(sequence[1])));
  if (found == pairs_.end()) return;
  ++stamp_;
  const std::vector<uint32_t> rows = found->second.rows;  // visit() may add to it
  for (const uint32_t number : rows) {
    Row& row = rows_[number];
    if (row.stamp == stamp_) continue;
    row.stamp = stamp_;
    visit(row, number);
  }
}

size_t TermCorpus::match(const Row& row, size_t at, const std::vector<int64_t>& sequence) const {
  const uint32_t* tokens = tokens_.data() + row.begin;
  size_t same = 0;
  while (same < sequence.size() && at + same < row.length &&
         tokens[at + same] == static_cast<uint32_t>(sequence[same])) {
    ++same;
  }
  return same;
}

std::vector<int64_t> TermCorpus::count(const std::vector<int64_t>& sequence) {
  std::vector<int64_t> counts(sequence.size() - 1);
  visit_rows(sequence, [&](const Row& row, uint32_t) {
    for (size_t at = 0; at + 1 < row.length;) {
      const size_t same = match(row, at, sequence);
      for (size_t n = 2; n <= same; ++n) counts[n - 2] += row.weight;
      at += same >= 2 ? same : 1;
    }
  });
  return counts;
}

int64_t TermCorpus::replace(const std::vector<int64_t>& sequence, int64_t id,
                            const MergeTable* merges) {
  const auto end = [this](int64_t token, bool last) {
    const auto found = ends_.find(static_cast<uint32_t>(token));
    if (found == ends_.end()) return static_cast<uint32_t>(token);
    return last ? found->second.second : found->second.first;
  };
  const auto token = static_cast<uint32_t>(id);
  // One that old merges can make (`merges` given) is known by itself: rows are indexed anew for it.
  if (!merges) ends_[token] = {end(sequence.front(), false), end(sequence.back(), true)};
  int64_t saved = 0;
  visit_rows(sequence, [&](Row& row, uint32_t number) {
    uint32_t* tokens = tokens_.data() + row.begin;
    const uint32_t before = row.length;
    uint32_t out = 0;
    for (size_t at = 0; at < before; ++out) {
      const bool here = match(row, at, sequence) == sequence.size();
      tokens[out] = here ? token : tokens[at];
      at += here ? sequence.size() : 1;
    }
    row.length = out;
    if (merges && out < before) merge_further(row, number, *merges);
    saved += row.weight * (before - row.length);
  });
  return saved;
}

void TermCorpus::merge_further(Row& row, uint32_t number, const MergeTable& merges) {
  uint32_t* tokens = tokens_.data() + row.begin;
  std::vector<int64_t> merged(tokens, tokens + row.length);
  merges.apply(merged);
  std::transform(merged.begin(), merged.end(), tokens,
                 [](int64_t token) { return static_cast<uint32_t>(token); });
  row.length = static_cast<uint32_t>(merged.size());
  for (uint32_t i = 0; i + 1 < row.length; ++i) {
    pairs_[seam(tokens[i], tokens[i + 1])].rows.push_back(number);
  }
}

int64_t TermCorpus::replace_row(size_t row, int64_t id) {
  const int64_t saved = rows_[row].weight * (rows_[row].length - int64_t{1});
  tokens_[rows_[row].begin] = static_cast<uint32_t>(id);
  rows_[row].length = 1;
  return saved;
}

}  // namespace hone::text::detail
