/// Random numbers whose sequence is part of the contract: same seed, same numbers, everywhere.
#pragma once
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace hone {

/// A seed of its own for a named use ("loader", "init", ...) of one run seed.
uint64_t derive_seed(uint64_t seed, std::string_view stream);

/// SplitMix64: the whole state is one number, which can be saved and restored.
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t state() const { return state_; }
  void set_state(uint64_t state) { state_ = state; }

  /// Uniform over all 64-bit numbers.
  uint64_t next();
  /// Uniform in [0, bound), bound > 0, without modulo bias.
  uint64_t below(uint64_t bound);
  /// Uniform in [0, 1), 53 bits.
  double uniform();

  /// Fisher-Yates.
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace hone
