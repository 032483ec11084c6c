/// NumPy's legacy random numbers, so that samplers draw what Optuna draws with the same seed.
#pragma once
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace hone::tune::detail {

/// numpy.random.RandomState: MT19937, 53-bit reals, polar normals, masked rejection for integers.
/// Parity: tests/tune/random_state_test.cpp and tests/interop/tune_samplers.py.
/// Source: NumPy's documentation, which freezes these streams (NEP 19).
class RandomState {
 public:
  explicit RandomState(uint64_t seed) { reseed(seed); }

  /// The stream of RandomState(seed); from 2^32 on, which NumPy refuses, that of
  /// RandomState([seed mod 2^32, seed div 2^32]).
  void reseed(uint64_t seed);

  /// random_sample(): in [0, 1).
  double uniform();
  /// uniform(low, high).
  double uniform(double low, double high);
  /// random_sample(size).
  std::vector<double> uniforms(size_t size);
  /// standard_normal().
  double normal();
  /// randint(low, high): in [low, high), high - low <= 2^32. Also choice(n) with low = 0.
  int64_t integer(int64_t low, int64_t high);
  /// choice(weights.size(), p=weights, size=size); weights are normalised and not negative.
  std::vector<size_t> choices(std::span<const double> weights, size_t size);

  /// shuffle(list).
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i - 1)]);
  }

 private:
  /// In [0, most].
  uint64_t below(uint64_t most);

  std::mt19937 engine_;
  bool has_normal_ = false;
  double normal_ = 0;  // the second of a pair
};

}  // namespace hone::tune::detail
