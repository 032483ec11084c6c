/// NumPy's default generator, of which only random bits are needed.
#pragma once
#include <cstdint>

namespace hone::tune::detail {

/// numpy.random.default_rng(seed): PCG64 seeded through SeedSequence.
/// Source: O'Neill, "PCG: a family of simple fast space-efficient statistically good algorithms for
/// random number generation", 2014 (XSL-RR 128/64); SeedSequence as NumPy documents it.
class Pcg64 {
 public:
  explicit Pcg64(uint64_t seed);

  uint64_t next64();
  /// The low half of a 64-bit number, then its high half.
  uint32_t next32();
  /// One of integers(0, 2, size, dtype=uint32).
  bool bit() { return next32() >> 31; }

 private:
  void step();

  unsigned __int128 state_ = 0, increment_;
  uint64_t held_ = 0;
  bool has_half_ = false;
};

}  // namespace hone::tune::detail
