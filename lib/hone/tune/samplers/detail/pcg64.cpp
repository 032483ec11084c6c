#include "hone/tune/samplers/detail/pcg64.h"

#include <array>
#include <bit>
#include <cstddef>

namespace hone::tune::detail {
namespace {

constexpr int kPool = 4;

/// One of SeedSequence's running hashes.
struct Hash {
  uint32_t constant, multiplier;

  uint32_t operator()(uint32_t value) {
    value ^= constant;
    constant *= multiplier;
    value *= constant;
    return value ^ (value >> 16);
  }
};

uint32_t mix(uint32_t x, uint32_t y) {
  const uint32_t result = 0xca01f9ddu * x - 0x4973f715u * y;
  return result ^ (result >> 16);
}

/// SeedSequence(seed).generate_state(4, uint64).
std::array<uint64_t, 4> seed_words(uint64_t seed) {
  std::array<uint32_t, kPool> pool;
  Hash hash{0x43b0d7e5u, 0x931e8875u};
  for (int i = 0; i < kPool; ++i) {
    pool[i] = hash(i < 2 ? static_cast<uint32_t>(seed >> (32 * i)) : 0);
  }
  for (int from = 0; from < kPool; ++from) {
    for (int to = 0; to < kPool; ++to) {
      if (from != to) pool[to] = mix(pool[to], hash(pool[from]));
    }
  }
  Hash output{0x8b51f9ddu, 0x58f38dedu};
  std::array<uint64_t, 4> words;
  for (size_t i = 0; i < words.size(); ++i) {
    const uint64_t low = output(pool[2 * i % kPool]);
    words[i] = low | uint64_t{output(pool[(2 * i + 1) % kPool])} << 32;
  }
  return words;
}

unsigned __int128 join(uint64_t high, uint64_t low) {
  return static_cast<unsigned __int128>(high) << 64 | low;
}

}  // namespace

Pcg64::Pcg64(uint64_t seed) {
  const auto words = seed_words(seed);
  increment_ = join(words[2], words[3]) << 1 | 1;
  step();
  state_ += join(words[0], words[1]);
  step();
}

void Pcg64::step() {
  state_ = state_ * join(2549297995355413924u, 4865540595714422341u) + increment_;
}

uint64_t Pcg64::next64() {
  step();
  const uint64_t high = static_cast<uint64_t>(state_ >> 64), low = static_cast<uint64_t>(state_);
  return std::rotr(high ^ low, static_cast<int>(high >> 58));
}

uint32_t Pcg64::next32() {
  has_half_ = !has_half_;
  if (!has_half_) return static_cast<uint32_t>(held_ >> 32);
  held_ = next64();
  return static_cast<uint32_t>(held_);
}

}  // namespace hone::tune::detail
