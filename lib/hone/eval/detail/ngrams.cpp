#include "hone/eval/detail/ngrams.h"

#include <algorithm>
#include <bit>
#include <unordered_map>
#include <utility>

namespace hone::eval::detail {
namespace {

constexpr uint32_t kEmpty = 0xFFFFFFFF;

}  // namespace

std::vector<std::vector<uint32_t>> number_words(
    const std::vector<std::vector<std::string_view>>& lists) {
  std::unordered_map<std::string_view, uint32_t> known;
  std::vector<std::vector<uint32_t>> numbers(lists.size());
  for (size_t i = 0; i < lists.size(); ++i) {
    numbers[i].reserve(lists[i].size());
    for (const std::string_view word : lists[i]) {
      numbers[i].push_back(known.try_emplace(word, known.size()).first->second);
    }
  }
  return numbers;
}

Ngrams::Ngrams(std::vector<std::vector<uint32_t>> sequences) : symbols_(std::move(sequences)) {
  size_t total = 0;
  for (const auto& symbols : symbols_) {
    numbers_.emplace_back(symbols.size() + 1, 0);  // the empty 0-gram, everywhere
    total += symbols.size();
  }
  slots_.resize(std::bit_ceil(2 * total + 2));
  next_order();
}

void Ngrams::next_order() {
  std::fill(slots_.begin(), slots_.end(), Slot{0, kEmpty});
  used_ = 0;
  for (size_t s = 0; s < symbols_.size(); ++s) {
    auto& numbers = numbers_[s];
    if (numbers.empty()) continue;
    numbers.pop_back();
    for (size_t i = 0; i < numbers.size(); ++i) {
      numbers[i] = number_of(uint64_t{numbers[i]} << 32 | symbols_[s][i + order_]);
    }
  }
  ++order_;
}

uint32_t Ngrams::number_of(uint64_t key) {
  const size_t mask = slots_.size() - 1;
  const uint64_t mixed = key * 0x9E3779B97F4A7C15u;
  size_t at = (mixed ^ mixed >> 32) & mask;
  while (slots_[at].number != kEmpty && slots_[at].key != key) at = (at + 1) & mask;
  if (slots_[at].number == kEmpty) slots_[at] = {key, used_++};
  return slots_[at].number;
}

int64_t Ngrams::matches(size_t sequence, size_t first, size_t last) {
  limits_.assign(used_, 0);
  counts_.assign(used_, 0);
  for (size_t s = first; s < last; ++s) {
    for (const uint32_t n : numbers_[s]) limits_[n] = std::max(limits_[n], ++counts_[n]);
    for (const uint32_t n : numbers_[s]) counts_[n] = 0;
  }
  int64_t matches = 0;
  for (const uint32_t n : numbers_[sequence]) matches += limits_[n]-- > 0;
  return matches;
}

}  // namespace hone::eval::detail
