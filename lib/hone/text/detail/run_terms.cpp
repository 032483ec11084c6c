#include "hone/text/detail/run_terms.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hone/core/utf8.h"
#include "hone/text/detail/scripts.h"

namespace hone::text::detail {
namespace {

/// What a term must reach; found on Chinese text (docs/benchmarks/vocabulary.md).
constexpr double kMinFreedom = 1.0;   // nats, on its less free side
constexpr double kMinCohesion = 1.0;  // nats, where it is cut easiest

constexpr uint32_t kNone = UINT32_MAX;

int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); });
}

/// Bytes of characters without spaces that `text` starts with.
size_t unspaced(std::string_view text) {
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    const char* next = p;
    if (!is_unspaced(next_char(next))) break;
    p = next;
  }
  return static_cast<size_t>(p - text.data());
}

}  // namespace

/// Tokens side by side; its parts are the grams of one token less at its start and at its end.
struct RunTerms::Gram {
  int64_t count = 0;
  uint32_t place = 0;  ///< where it first stands
  uint32_t front = kNone, back = kNone;
  double freedom = 0;  ///< branching entropy of its less free side, nats
};

/// All frequent grams of one length.
struct RunTerms::Level {
  std::vector<Gram> grams;
  std::vector<uint32_t> at;  ///< of each place: the gram that starts there, or kNone
};

void RunTerms::add(std::string_view text, const Encoding& encoding, int64_t weight) {
  const auto n = encoding.ids.size();
  bool in_run = false;
  for (size_t i = 0; i < n; ++i) {
    const auto [begin, end] = encoding.offsets[i];
    const std::string_view part =
        text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    if (part.empty() || unspaced(part) != part.size()) {
      in_run = false;
      continue;
    }
    if (!in_run) weights_.push_back(weight);
    const bool starts = i == 0 || encoding.offsets[i - 1].end <= begin;
    const bool stops = i + 1 == n || encoding.offsets[i + 1].begin >= end;
    // A token that shares a character with the one before covers the same bytes again.
    const size_t at =
        in_run && !starts
            ? places_.back().end - static_cast<size_t>(encoding.offsets[i - 1].end - begin)
            : text_.size();
    text_.resize(at);
    text_ += part;
    const char* p = part.data();
    const char* q = previous_start(part.data() + part.size());
    places_.push_back({static_cast<uint32_t>(encoding.ids[i]),
                       static_cast<uint32_t>(weights_.size() - 1), static_cast<uint32_t>(at),
                       static_cast<uint32_t>(at + part.size()), starts ? next_char(p) : 0,
                       stops ? next_char(q) : 0});
    total_ += weight;
    in_run = true;
  }
}

std::string_view RunTerms::text(const Gram& gram, size_t length) const {
  const uint32_t begin = places_[gram.place].begin;
  return std::string_view(text_).substr(begin, places_[gram.place + length - 1].end - begin);
}

bool RunTerms::ends_on_characters(const Gram& gram, size_t length) const {
  return places_[gram.place].first != 0 && places_[gram.place + length - 1].last != 0;
}

RunTerms::Level RunTerms::first_level(int64_t min_count) const {
  std::unordered_map<uint32_t, int64_t> counts;
  for (const Place& place : places_) counts[place.token] += weights_[place.run];
  Level level{{}, std::vector<uint32_t>(places_.size(), kNone)};
  std::unordered_map<uint32_t, uint32_t> numbers;
  for (size_t i = 0; i < places_.size(); ++i) {
    const int64_t count = counts[places_[i].token];
    if (count < min_count) continue;
    const auto [known, is_new] = numbers.emplace(places_[i].token, level.grams.size());
    if (is_new) level.grams.push_back({count, static_cast<uint32_t>(i)});
    level.at[i] = known->second;
  }
  return level;
}

/// Grams whose parts are frequent, counted; those that are frequent themselves.
RunTerms::Level RunTerms::next_level(const Level& before, size_t length, int64_t min_count) const {
  Level all{{}, std::vector<uint32_t>(places_.size(), kNone)};
  std::unordered_map<uint64_t, uint32_t> numbers;
  for (size_t i = 0; i + length <= places_.size(); ++i) {
    if (!same_run(i, i + length - 1)) continue;
    const uint32_t front = before.at[i], back = before.at[i + 1];
    if (front == kNone || back == kNone) continue;
    const auto [known, is_new] = numbers.emplace(uint64_t{front} << 32 | back, all.grams.size());
    if (is_new) all.grams.push_back({0, static_cast<uint32_t>(i), front, back});
    all.grams[known->second].count += weights_[places_[i].run];
    all.at[i] = known->second;
  }
  Level level;
  std::vector<uint32_t> kept(all.grams.size(), kNone);
  for (size_t g = 0; g < all.grams.size(); ++g) {
    if (all.grams[g].count < min_count) continue;
    kept[g] = static_cast<uint32_t>(level.grams.size());
    level.grams.push_back(all.grams[g]);
  }
  level.at = std::move(all.at);
  for (uint32_t& gram : level.at) {
    if (gram != kNone) gram = kept[gram];
  }
  return level;
}

/// Entropy of the characters on each side; every end of a run counts as one of its own.
void RunTerms::measure_freedom(Level& level, size_t length) const {
  std::unordered_map<uint64_t, int64_t> before, after;
  const auto key = [](uint32_t gram, char32_t c) { return uint64_t{gram} << 32 | c; };
  for (size_t i = 0; i < places_.size(); ++i) {
    const uint32_t gram = level.at[i];
    if (gram == kNone || !ends_on_characters(level.grams[gram], length)) continue;
    const int64_t weight = weights_[places_[i].run];
    if (i > 0 && same_run(i - 1, i)) before[key(gram, places_[i - 1].last)] += weight;
    if (same_run(i, i + length)) after[key(gram, places_[i + length].first)] += weight;
  }
  const auto entropies = [&level](const auto& counts) {
    // log(count) - sum n log n / count; ends of runs have n = 1 and add nothing to the sum.
    std::vector<double> sums(level.grams.size());
    for (const auto& [pair, n] : counts) {
      sums[pair >> 32] += static_cast<double>(n) * std::log(static_cast<double>(n));
    }
    for (size_t g = 0; g < sums.size(); ++g) {
      const auto count = static_cast<double>(level.grams[g].count);
      sums[g] = std::log(count) - sums[g] / count;
    }
    return sums;
  };
  const std::vector<double> left = entropies(before), right = entropies(after);
  for (size_t g = 0; g < level.grams.size(); ++g) {
    level.grams[g].freedom = std::min(left[g], right[g]);
  }
}

/// The smallest pointwise mutual information of two parts, nats.
double RunTerms::cohesion(const std::vector<Level>& levels, size_t length, size_t gram) const {
  double weakest = std::numeric_limits<double>::infinity();
  const auto whole = static_cast<double>(levels[length].grams[gram].count);
  for (size_t cut = 1; cut < length; ++cut) {
    size_t left = gram, right = gram;
    for (size_t n = length; n > cut; --n) left = levels[n].grams[left].front;
    for (size_t n = length; n > length - cut; --n) right = levels[n].grams[right].back;
    const double apart = static_cast<double>(levels[cut].grams[left].count) *
                         static_cast<double>(levels[length - cut].grams[right].count);
    weakest = std::min(weakest, std::log(whole * static_cast<double>(total_) / apart));
  }
  return weakest;
}

std::vector<RunTerms::Term> RunTerms::find(int64_t min_tokens, int64_t min_count) const {
  std::vector<Level> levels(2);  // by length; none of length 0
  levels[1] = first_level(min_count);
  std::vector<Term> terms;
  for (size_t length = 2; length <= kMaxTokens && !levels.back().grams.empty(); ++length) {
    levels.push_back(next_level(levels.back(), length, min_count));
    levels[length - 1].at = {};
    Level& level = levels.back();
    if (static_cast<int64_t>(length) < min_tokens) continue;
    measure_freedom(level, length);
    for (size_t g = 0; g < level.grams.size(); ++g) {
      const Gram& gram = level.grams[g];
      if (!ends_on_characters(gram, length) || gram.freedom < kMinFreedom) continue;
      const std::string_view name = text(gram, length);
      if (characters(name) > static_cast<int64_t>(kMaxChars)) continue;
      if (cohesion(levels, length, g) < kMinCohesion) continue;
      Term term{std::string(name), {}, gram.count};
      for (size_t i = 0; i < length; ++i) term.tokens.push_back(places_[gram.place + i].token);
      terms.push_back(std::move(term));
    }
  }
  return terms;
}

}  // namespace hone::text::detail
