#include "hone/data/detail/masking.h"

#include <algorithm>

#include "hone/core/utf8.h"
#include "hone/unicode/unicode.h"

namespace hone::data::detail {
namespace {

/// Space within a line: a line break may belong to the code before it.
bool all_space(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto [code, length] = character_at(text, at);
    if (code == Character::kInvalid || !unicode::is_space(code) || code == '\n') return false;
    at += length;
  }
  return true;
}

}  // namespace

std::vector<TokenRange> token_ranges(const std::vector<Word>& words, const Tokens& tokens,
                                     std::string_view text) {
  std::vector<TokenRange> ranges;
  const size_t count = tokens.ids.size();
  size_t i = 0;
  for (const Word& word : words) {
    while (i < count && tokens.offsets[i].end <= word.span.begin) ++i;
    const size_t begin = i;
    while (i < count && tokens.offsets[i].begin < word.span.end &&
           tokens.offsets[i].end > word.span.begin) {
      ++i;
    }
    if (begin == i) continue;
    const int64_t first = tokens.offsets[begin].begin;
    const bool own =
        tokens.offsets[i - 1].end == word.span.end &&
        (first >= word.span.begin || all_space(text.substr(first, word.span.begin - first)));
    if (!own) {
      i = begin;  // the token may belong to the next word too
      continue;
    }
    if (!word.unspaced) {
      ranges.push_back({begin, i});
      continue;
    }
    for (size_t token = begin; token < i; ++token) {
      // Tokens that hold bytes of one character stay together.
      const bool joined =
          token > begin && tokens.offsets[token].begin < tokens.offsets[token - 1].end;
      if (joined) {
        ranges.back().end = token + 1;
      } else {
        ranges.push_back({token, token + 1});
      }
    }
  }
  return ranges;
}

std::vector<bool> choose_words(size_t count, double rate, Random& random) {
  std::vector<bool> chosen(count);
  for (size_t i = 0; i < count; ++i) chosen[i] = random.uniform() < rate;
  return chosen;
}

std::vector<bool> choose_spans(size_t count, double rate, double mean, int64_t longest,
                               Random& random) {
  std::vector<bool> chosen(count);
  const double share = static_cast<double>(count) * rate;
  auto left = static_cast<size_t>(share);
  if (random.uniform() < share - static_cast<double>(left)) ++left;
  while (left > 0) {
    size_t at = random.below(count);
    while (chosen[at]) at = random.below(count);  // half or more are free
    int64_t length = 1;
    while (length < longest && random.uniform() >= 1 / mean) ++length;
    for (; length > 0 && left > 0 && at < count && !chosen[at]; ++at, --length, --left) {
      chosen[at] = true;
    }
  }
  return chosen;
}

}  // namespace hone::data::detail
