#include "hone/core/random.h"

#include "hone/core/hash.h"

namespace hone {

uint64_t derive_seed(uint64_t seed, std::string_view stream) { return hash64(stream, seed); }

uint64_t Random::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t Random::below(uint64_t bound) {
  const uint64_t reject = -bound % bound;  // 2^64 mod bound
  uint64_t value = next();
  while (value < reject) value = next();
  return value % bound;
}

double Random::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

}  // namespace hone
