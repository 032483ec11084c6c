#include "hone/tune/samplers/detail/random_state.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace hone::tune::detail {
namespace {

constexpr int kWords = std::mt19937::state_size;

/// Hands a computed state to std::mt19937, which otherwise mixes what it is given.
struct State {
  using result_type = uint32_t;
  const std::vector<uint32_t>& words;
  template <class Iterator>
  void generate(Iterator first, Iterator last) {
    std::copy_n(words.begin(), last - first, first);
  }
};

/// Matsumoto and Nishimura's initialisation by an array, 2002.
std::vector<uint32_t> state_of(const std::vector<uint32_t>& key) {
  std::vector<uint32_t> state(kWords);
  state[0] = 19650218;
  for (int i = 1; i < kWords; ++i) {
    state[i] = 1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + i;
  }
  const auto mixed = [&](int i, uint32_t factor) {
    return state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * factor);
  };
  int i = 1;
  const auto advance = [&] {
    if (++i < kWords) return;
    state[0] = state[kWords - 1];
    i = 1;
  };
  for (size_t k = 0; k < std::max<size_t>(kWords, key.size()); ++k) {
    const size_t j = k % key.size();
    state[i] = mixed(i, 1664525u) + key[j] + static_cast<uint32_t>(j);
    advance();
  }
  for (int k = 0; k < kWords - 1; ++k) {
    state[i] = mixed(i, 1566083941u) - static_cast<uint32_t>(i);
    advance();
  }
  state[0] = 0x80000000u;
  return state;
}

}  // namespace

void RandomState::reseed(uint64_t seed) {
  has_normal_ = false;
  if (seed >> 32 == 0) {
    engine_.seed(static_cast<uint32_t>(seed));
    return;
  }
  const auto words = state_of({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  State state{words};
  engine_.seed(state);
}

double RandomState::uniform() {
  const uint32_t high = engine_() >> 5, low = engine_() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

double RandomState::uniform(double low, double high) { return low + (high - low) * uniform(); }

std::vector<double> RandomState::uniforms(size_t size) {
  std::vector<double> values(size);
  for (double& value : values) value = uniform();
  return values;
}

double RandomState::normal() {
  if (has_normal_) {
    has_normal_ = false;
    return normal_;
  }
  double x, y, square;
  do {
    x = 2 * uniform() - 1;
    y = 2 * uniform() - 1;
    square = x * x + y * y;
  } while (square >= 1 || square == 0);
  const double factor = std::sqrt(-2 * std::log(square) / square);
  normal_ = factor * x;
  has_normal_ = true;
  return factor * y;
}

uint64_t RandomState::below(uint64_t most) {
  if (most == 0) return 0;
  const uint32_t mask = static_cast<uint32_t>(std::bit_ceil(most + 1) - 1);
  for (;;) {
    const uint32_t value = engine_() & mask;
    if (value <= most) return value;
  }
}

int64_t RandomState::integer(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low - 1)));
}

std::vector<size_t> RandomState::choices(std::span<const double> weights, size_t size) {
  std::vector<double> sums(weights.size());
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) sums[i] = sum += weights[i];
  for (double& s : sums) s /= sum;
  std::vector<size_t> chosen(size);
  for (size_t& c : chosen) {
    c = std::upper_bound(sums.begin(), sums.end(), uniform()) - sums.begin();
  }
  return chosen;
}

}  // namespace hone::tune::detail
